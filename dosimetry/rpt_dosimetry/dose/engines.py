"""Dose engines: from time-integrated activity to absorbed dose, on one grid.

``local``: electrons stop in the voxel of their decay, photons leave it unseen. At the resolution
of SPECT this is a fair default: the electrons of Lu-177 travel 1.8 mm at most. Photons, about 4
% of a liver's self-dose, are left out. ``vsv``: convolution with a kernel of voxel S-values
computed for the voxels at hand.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput
from scipy import fft

from rpt_dosimetry.dose.anatomy import VoxelMedium
from rpt_dosimetry.options import ENGINES
from rpt_dosimetry.radiation.kernel import Spacing, absorbed_kev, compute_kernel
from rpt_dosimetry.radiation.media import SOFT_TISSUE_G_PER_CM3
from rpt_dosimetry.radiation.nuclide import Nuclide

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

    def absorbed_dose_gy(
        self, tia_mbq_h_per_ml: Field, *, spacing_mm: Spacing, medium: VoxelMedium | None
    ) -> tuple[Field, Field | None]:
        """Compute the absorbed dose.

        Args:
            medium: Density and material by a CT; ``None`` for soft tissue of 1.04 g/mL everywhere.

        Returns:
            Dose, Gy, on the same grid, and its statistical uncertainty, 1 SD, Gy; ``None`` where
            chance has no part in it.
        """

    def energy_kev(self, *, spacing_mm: Spacing) -> dict[str, float]:
        """Account for the energy of one decay, keV.

        Returns:
            What the nuclide emits and where it goes: ``emitted_electrons``,
            ``emitted_photons``, ``absorbed`` and ``left_out``; the first two sum to the last two.
        """


WORKERS = 2
"""Threads of the Fourier transforms."""


def convolve_octant(field: Field, octant: Float[np.ndarray, "i j k"]) -> Field:
    """Convolve with a kernel that is alike in all octants; nothing wraps around.

    The kernel's spectrum is real and needs one octant only: the discrete cosine transform of
    type I is the Fourier transform of a sequence and its mirror image. Outside the field, which
    is nowhere below 0, lies 0; rounding below 0 becomes 0.

    Args:
        octant: The kernel at the offsets 0, 1, 2 … along each axis. Offsets that no two
            voxels of ``field`` have are not used.
    """
    octant = octant[tuple(slice(0, n) for n in field.shape)]
    padded = tuple(
        _even_fast_length(n + m - 1) for n, m in zip(field.shape, octant.shape, strict=True)
    )
    half = tuple(n // 2 + 1 for n in padded)
    room = [(0, h - n) for h, n in zip(half, octant.shape, strict=True)]
    spectrum = fft.rfftn(field.astype(np.float64), padded, workers=WORKERS)
    of_kernel = fft.dctn(np.pad(octant, room), type=1, workers=WORKERS)
    mirror = [np.r_[0:h, h - 2 : 0 : -1] for h in half[:2]]
    spectrum *= of_kernel[np.ix_(*mirror, np.arange(half[2]))]
    whole = fft.irfftn(spectrum, padded, workers=WORKERS, overwrite_x=True)
    inside = whole[tuple(slice(0, n) for n in field.shape)]
    result: Field = np.maximum(inside, 0.0).astype(field.dtype)
    return result


def _even_fast_length(at_least: int) -> int:
    length = int(fft.next_fast_len(at_least, real=True))
    while length % 2:
        length = int(fft.next_fast_len(length + 1, real=True))
    return length


@dataclass(frozen=True)
class Local:
    """Local deposition of the electrons' energy; the voxel size does not matter.

    Source: Δ of MIRD Pamphlet 21, J Nucl Med 50 (2009) 477: of Lu-177's electrons
    147.92 keV per decay, 0.08532 g Gy/(MBq h).
    """

    nuclide: Nuclide
    name: str = "local"

    def absorbed_dose_gy(
        self, tia_mbq_h_per_ml: Field, *, spacing_mm: Spacing, medium: VoxelMedium | None
    ) -> tuple[Field, None]:
        """Compute the dose; see ``Engine``."""
        density = SOFT_TISSUE_G_PER_CM3 if medium is None else medium.density_g_per_ml
        return tia_mbq_h_per_ml * (GY_G_PER_MBQ_H_KEV * self.nuclide.electron_kev / density), None

    def energy_kev(self, *, spacing_mm: Spacing) -> dict[str, float]:
        """Account for the energy of one decay, keV; see ``Engine``."""
        return _balance(self.nuclide, self.nuclide.electron_kev, self.nuclide.photon_kev)


@dataclass(frozen=True)
class Vsv:
    """Convolution with the kernel of soft tissue; outside the volume no activity is assumed.

    The electrons' energy is shared out as in soft tissue and divided by the voxel's own mass.
    The photons' dose is that of soft tissue everywhere: it comes from far away, and dividing it
    by a lung's density would give four times too much.

    Source: Bolch et al., MIRD Pamphlet 17, J Nucl Med 40 (1999) 11S, with a kernel of our own and
    density scaling of the electron part alone (ours).
    """

    nuclide: Nuclide
    name: str = "vsv"

    def absorbed_dose_gy(
        self, tia_mbq_h_per_ml: Field, *, spacing_mm: Spacing, medium: VoxelMedium | None
    ) -> tuple[Field, None]:
        """Compute the dose; see ``Engine``."""
        i, j, k = tia_mbq_h_per_ml.shape
        kernel = compute_kernel(self.nuclide.name, spacing_mm=spacing_mm, largest=(i, j, k))
        gy_per_kev = GY_G_PER_MBQ_H_KEV / kernel.density_g_per_cm3
        dose: Field = convolve_octant(tia_mbq_h_per_ml, kernel.electron_kev * gy_per_kev)
        if medium is not None:
            dose *= kernel.density_g_per_cm3 / medium.density_g_per_ml
        dose += convolve_octant(tia_mbq_h_per_ml, kernel.photon_kev * gy_per_kev)
        return dose, None

    def energy_kev(self, *, spacing_mm: Spacing) -> dict[str, float]:
        """Account for a decay's energy, keV, in a kernel that no image cuts; see ``Engine``."""
        return _balance(self.nuclide, *absorbed_kev(self.nuclide.name, spacing_mm=spacing_mm))


def _balance(nuclide: Nuclide, absorbed: float, left_out: float) -> dict[str, float]:
    return {
        "emitted_electrons": nuclide.electron_kev,
        "emitted_photons": nuclide.photon_kev,
        "absorbed": absorbed,
        "left_out": left_out,
    }


def find_engine(name: str, nuclide: Nuclide) -> Engine:
    """Make the engine of that name, of ``ENGINES``."""
    if name not in ENGINES:
        raise BadInput(f"The engine must be one of {', '.join(ENGINES)}, got '{name}'.")
    module, _, of_engine = ENGINES[name][0].partition(":")
    engine: Engine = getattr(import_module(module), of_engine)(nuclide)
    return engine
