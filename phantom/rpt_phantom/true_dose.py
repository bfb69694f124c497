"""The true absorbed dose, by the physics of ``rpt_dosimetry``."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from rpt_dosimetry.dose.anatomy import floored
from rpt_dosimetry.dose.engines import GY_G_PER_MBQ_H_KEV, Local, convolve_octant
from rpt_dosimetry.radiation.kernel import compute_kernel
from rpt_dosimetry.radiation.nuclide import Nuclide, find_nuclide
from scipy.ndimage import map_coordinates

from rpt_phantom.box import FINER, averaged_by_mass, averaged_by_volume
from rpt_phantom.grid import SPACING_MM

Fine = Float32[np.ndarray, "a b c"]
Coarse = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True)
class TrueDose:
    """Absorbed dose of electrons and photons, on the grids on which they are known.

    Attributes:
        electron_fine: On voxels of 2.4 mm, Gy/GBq.
        electron: Averaged by mass over voxels of 4.8 mm, Gy/GBq.
        photon: On voxels of 4.8 mm, Gy/GBq.
    """

    electron_fine: Fine
    electron: Coarse
    photon: Coarse

    @property
    def total(self) -> Coarse:
        """On voxels of 4.8 mm, Gy/GBq."""
        total: Coarse = self.electron + self.photon
        return total

    def total_fine(self) -> Fine:
        """On voxels of 2.4 mm, Gy/GBq; photons by linear interpolation."""
        axes = [(np.arange(n) - (FINER - 1) / 2) / FINER for n in self.electron_fine.shape]
        at = np.stack(np.meshgrid(*axes, indexing="ij"))
        photon = map_coordinates(self.photon, at, order=1, mode="nearest")
        return np.asarray(self.electron_fine + photon, dtype=np.float32)


def lu177() -> Nuclide:
    """Return the nuclide of the therapy."""
    return find_nuclide("Lu-177")


def true_dose(
    tia_mbq_h_per_ml: Fine, density_g_per_ml: Fine, *, reach: tuple[int, int, int]
) -> TrueDose:
    """Compute the dose of a known time-integrated activity.

    Electrons stop in the voxel of 2.4 mm in which they start (their mean range is a tenth of it)
    and meet its own mass. Photons come by the voxel kernel of soft tissue on voxels of 4.8 mm:
    at their range, that is as good as finer ones.

    Args:
        tia_mbq_h_per_ml: Per administered activity, MBq·h/mL per GBq.
        density_g_per_ml: Mass density, g/mL.
        reach: Offsets of the photons' kernel along each axis; those of the case's grid let the
            engine that measures use the same kernel.

    Returns:
        Gy/GBq; photons outside the body too.
    """
    dense, _ = floored(density_g_per_ml)
    dense = dense.astype(np.float32)
    spacing_mm = (SPACING_MM / FINER,) * 3
    electron = Local(lu177()).dose_gy(
        tia_mbq_h_per_ml, spacing_mm=spacing_mm, density_g_per_ml=dense
    )
    electron = electron.astype(np.float32)
    kernel = compute_kernel("Lu-177", spacing_mm=(SPACING_MM,) * 3, largest=reach)
    gy_per_kev = GY_G_PER_MBQ_H_KEV / kernel.density_g_per_cm3
    photon = convolve_octant(averaged_by_volume(tia_mbq_h_per_ml), kernel.photon_kev * gy_per_kev)
    return TrueDose(electron, averaged_by_mass(electron, dense), photon)
