"""The voxel S-value engine: convolution with a kernel computed for the voxels at hand."""

from dataclasses import dataclass

from rpt_dosimetry.dose.convolution import convolve_octant
from rpt_dosimetry.dose.engine import GY_G_PER_MBQ_H_KEV, Field
from rpt_dosimetry.radiation.kernel import absorbed_kev, compute_kernel
from rpt_dosimetry.radiation.nuclide import Nuclide


@dataclass(frozen=True)
class Vsv:
    """Convolution with the kernel of soft tissue.

    The electrons' energy is shared out as in soft tissue and divided by the voxel's own mass.
    The photons' dose is that of soft tissue everywhere: it comes from far away, and dividing it
    by a lung's density would give four times too much.

    Attributes:
        nuclide: What decays.

    Source: Bolch et al., MIRD Pamphlet 17, J Nucl Med 40 (1999) 11S, with a kernel of our own and
    density scaling of the electron part alone (ours).
    """

    nuclide: Nuclide
    name: str = "vsv"

    def dose_gy(
        self,
        tia_mbq_h_per_ml: Field,
        *,
        spacing_mm: tuple[float, float, float],
        density_g_per_ml: Field | None,
    ) -> Field:
        """Compute the dose; see ``Engine``. Outside the volume no activity is assumed."""
        i, j, k = tia_mbq_h_per_ml.shape
        kernel = compute_kernel(self.nuclide.name, spacing_mm=spacing_mm, largest=(i, j, k))
        gy_per_kev = GY_G_PER_MBQ_H_KEV / kernel.density_g_per_cm3
        dose: Field = convolve_octant(tia_mbq_h_per_ml, kernel.electron_kev * gy_per_kev)
        if density_g_per_ml is not None:
            dose *= kernel.density_g_per_cm3 / density_g_per_ml
        dose += convolve_octant(tia_mbq_h_per_ml, kernel.photon_kev * gy_per_kev)
        return dose

    def energy_kev(self, *, spacing_mm: tuple[float, float, float]) -> dict[str, float]:
        """Account for a decay's energy, keV, in a kernel that no image cuts; see ``Engine``."""
        absorbed, left_out = absorbed_kev(self.nuclide.name, spacing_mm=spacing_mm)
        return {
            "emitted_electrons": self.nuclide.electron_kev,
            "emitted_photons": self.nuclide.photon_kev,
            "absorbed": absorbed,
            "left_out": left_out,
        }
