"""What a dose engine is: from time-integrated activity to absorbed dose, on one grid.

``local`` and ``vsv`` are two; a Monte Carlo engine has its place behind the same interface.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

Field = Float[np.ndarray, "x y z"]

GY_G_PER_MBQ_H_KEV = 3.6e9 * 1.602176634e-16 * 1e3
"""Dose of 1 MBq h that leaves 1 keV per decay in 1 g, Gy: decays × J/keV ÷ kg/g.

Source: 1 eV = 1.602176634e-19 J exactly (SI, 2019).
"""


@runtime_checkable
class Engine(Protocol):
    """A way to compute absorbed dose."""

    @property
    def name(self) -> str:
        """What the commands call it."""

    def dose_gy(
        self,
        tia_mbq_h_per_ml: Field,
        *,
        spacing_mm: tuple[float, float, float],
        density_g_per_ml: Field | None,
    ) -> Field:
        """Compute the absorbed dose.

        Args:
            tia_mbq_h_per_ml: Time-integrated activity concentration, MBq h/mL, shape (x, y, z).
            spacing_mm: Voxel size along each axis, mm.
            density_g_per_ml: Mass density, g/mL, above 0 everywhere (see ``density.floored``);
                ``None`` for soft tissue of 1.04 g/mL everywhere.

        Returns:
            Dose, Gy, on the same grid.
        """

    def energy_kev(self, *, spacing_mm: tuple[float, float, float]) -> dict[str, float]:
        """Account for the energy of one decay, keV.

        Args:
            spacing_mm: Voxel size, mm, on which a kernel may depend.

        Returns:
            What the nuclide emits and where it goes: ``emitted_electrons``,
            ``emitted_photons``, ``absorbed`` and ``left_out``; the first two sum to the last two.
        """
