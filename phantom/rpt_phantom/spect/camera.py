"""The SPECT camera: two heads with medium-energy collimators, set up for the 208 keV of Lu-177.

With it, how likely a photon of some energy is counted in some window. Left out: septal penetration
and scatter in the collimator, what the crystal's back side scatters, dead time, and X-rays of the
lead.
"""

from dataclasses import dataclass

import numpy as np
import xraydb
from jaxtyping import Float
from rpt_dosimetry.dicom.nm import EnergyWindow
from rpt_dosimetry.radiation.photons import ELECTRON_REST_KEV
from scipy.special import ndtr

from rpt_phantom.grid import FWHM_PER_STD

PHOTON_KEV = 208.366
"""The photon that is imaged. Source: ICRP Publication 107."""
LEAD_G_PER_CM3 = 11.35
_MM_PER_CM = 10.0
_FULL_TURN_DEG = 360.0
LINES: tuple[tuple[float, float], ...] = ((PHOTON_KEV, 0.110), (249.7, 0.00212), (321.3, 0.00219))
"""Photons of Lu-177 that reach the windows: energy, keV, and yield per decay. Source: ICRP-107."""
NAI_G_PER_CM3 = 3.67
_REFERENCE_KEV = 140.5
_SODIUM_SHARE = 22.990 / (22.990 + 126.904)


@dataclass(frozen=True)
class Collimator:
    """A lead collimator with parallel hexagonal holes.

    Attributes:
        hole_mm: Diameter of a hole, flat to flat, mm.
        septum_mm: Thickness of the lead between holes, mm.
        length_mm: Length of a hole, mm.
    """

    hole_mm: float
    septum_mm: float
    length_mm: float

    @property
    def effective_length_mm(self) -> float:
        """Length less two mean free paths in lead, mm.

        Source: Anger, in Hine (ed.), Instrumentation in Nuclear Medicine (1967), p. 485.
        """
        per_cm = LEAD_G_PER_CM3 * float(xraydb.mu_elam("Pb", PHOTON_KEV * 1000.0, kind="total"))
        return self.length_mm - 2.0 * _MM_PER_CM / per_cm

    @property
    def geometric_efficiency(self) -> float:
        """Photons passed per photon emitted, one head.

        g = (K d / l)² (d / (d + t))², K = 0.26 for hexagonal holes in a hexagonal array. Source:
        Anger, as above.
        """
        open_share = (self.hole_mm / (self.hole_mm + self.septum_mm)) ** 2
        return (0.26 * self.hole_mm / self.effective_length_mm) ** 2 * open_share


@dataclass(frozen=True)
class Camera:
    """A camera and how it acquires.

    Attributes:
        collimator: Of each head.
        intrinsic_fwhm_mm: Resolution of crystal and electronics at 208 keV, mm.
        crystal_mm: Thickness of the NaI(Tl), mm.
        energy_resolution_140kev: FWHM over energy at 140.5 keV; it goes with 1/√E.
        sensitivity_cps_per_mbq: Counts in ``peak`` per second and MBq in air, all heads together.
        heads: How many face the patient, evenly around.
        peak: Window around the photon.
        lower: Window just below it.
        upper: Window just above it.
        pixel_mm: Edge of a pixel, and of a voxel of the reconstruction, mm.
        views: Of all heads together, evenly over a full turn.
        clearance_mm: Between the body's contour and the collimator's face, mm.
        detector_length_mm: Along the body, mm; for whole-body scans.
    """

    collimator: Collimator
    intrinsic_fwhm_mm: float
    crystal_mm: float
    energy_resolution_140kev: float
    sensitivity_cps_per_mbq: float
    heads: int
    peak: EnergyWindow
    lower: EnergyWindow
    upper: EnergyWindow
    pixel_mm: float
    views: int
    view_s: float
    clearance_mm: float
    detector_length_mm: float

    @property
    def windows(self) -> tuple[EnergyWindow, EnergyWindow, EnergyWindow]:
        """Peak, lower and upper: the order of every array with an axis ``window``."""
        return (self.peak, self.lower, self.upper)

    @property
    def duration_s(self) -> float:
        """Duration of a scan, s: all heads measure at the same time."""
        return self.views * self.view_s / self.heads

    @property
    def angles_deg(self) -> Float[np.ndarray, " view"]:
        """Angle of each view, degrees: 0 behind the patient, 180 in front, see ``Views``."""
        return np.arange(self.views) * (_FULL_TURN_DEG / self.views)

    def fwhm_mm(self, distance_mm: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return the resolution at a distance from the collimator's face, FWHM, mm.

        √(R_c² + R_i²) with R_c = d (l + z) / l, l the effective length. Source: Anger, as above.
        """
        length_mm = self.collimator.effective_length_mm
        geometric_mm = self.collimator.hole_mm * (length_mm + distance_mm) / length_mm
        return np.hypot(geometric_mm, self.intrinsic_fwhm_mm)


LU177_ME = Camera(
    # GE Infinia MEGP in SIMIND's collimator table, as PyTomography ships it (data/collim.col).
    collimator=Collimator(hole_mm=3.0, septum_mm=1.05, length_mm=58.0),
    # 3.9 mm at 140 keV, usual for 9.5 mm NaI(Tl), times √(140 / 208): ours.
    intrinsic_fwhm_mm=3.2,
    crystal_mm=9.5,
    # 9–10 % is usual for NaI(Tl) cameras.
    energy_resolution_140kev=0.095,
    # Ours: twice 4.7 cps/MBq; vials in water gave 4.5 ± 0.8 and 4.8 ± 0.7 cps/MBq (LMU Munich,
    # epub.ub.uni-muenchen.de/63442). Geometric efficiency x yield x crystal, without what covers
    # the crystal and what electronics reject, give 13.5 cps/MBq.
    sensitivity_cps_per_mbq=9.4,
    heads=2,
    # 208.4 ± 20.8, 181.3 ± 6.3 and 235.5 ± 6.3 keV, body contour: protocol of
    # MRTDosimetry, Tran-Gia et al., EJNMMI Phys 8 (2021) 55, table 2.
    peak=EnergyWindow(187.6, 229.2),
    lower=EnergyWindow(175.0, 187.6),
    upper=EnergyWindow(229.2, 241.8),
    pixel_mm=4.8,
    # Ours, a patient's scan of 12.5 min; MRTDosimetry measured phantoms by 120 views of 60 s.
    views=60,
    view_s=25.0,
    # Ours: contouring keeps 1–3 cm, and 5 mm of cover lie before the holes.
    clearance_mm=20.0,
    # A field of 40 cm x 54 cm, usual.
    detector_length_mm=400.0,
)
"""A two-head camera with a medium-energy collimator and the triple energy window of Lu-177."""


def counted_share(
    energy_kev: Float[np.ndarray, " n"], window: EnergyWindow, camera: Camera
) -> Float[np.ndarray, " n"]:
    """Return how likely a photon that meets the crystal is counted in a window.

    Full absorption in the crystal times a Gaussian energy response; what leaves the crystal with
    a part of its energy is left out.

    Args:
        window: Where it may be counted.
        camera: Its crystal and energy resolution.

    Returns:
        From 0 to 1.
    """
    fwhm_kev = camera.energy_resolution_140kev * np.sqrt(_REFERENCE_KEV * energy_kev)
    std_kev = fwhm_kev / FWHM_PER_STD
    below_upper = ndtr((window.upper_kev - energy_kev) / std_kev)
    below_lower = ndtr((window.lower_kev - energy_kev) / std_kev)
    share: Float[np.ndarray, " n"] = (below_upper - below_lower) * full_absorption(
        energy_kev, crystal_mm=camera.crystal_mm
    )
    return share


def full_absorption(
    energy_kev: Float[np.ndarray, " n"], *, crystal_mm: float
) -> Float[np.ndarray, " n"]:
    """Return the probability that NaI(Tl) takes all of a photon's energy.

    A photoelectric first interaction, or a Compton scattering of mean energy loss whose photon
    is absorbed over one more thickness of crystal: ours, for its slow course with energy counts
    only. Cross sections: Elam, Ravel & Sieber 2002, by ``xraydb``.
    """
    thickness_g_per_cm2 = NAI_G_PER_CM3 * crystal_mm / _MM_PER_CM
    photo, compton = (_nai_cm2_per_g(energy_kev, kind) for kind in ("photo", "incoh"))
    meets = 1.0 - np.exp(-(photo + compton) * thickness_g_per_cm2)
    # A photon scattered by 90° has about the mean energy.
    after_kev = energy_kev / (1.0 + energy_kev / ELECTRON_REST_KEV)
    absorbed_after = 1.0 - np.exp(-_nai_cm2_per_g(after_kev, "photo") * thickness_g_per_cm2)
    share: Float[np.ndarray, " n"] = meets * (photo + compton * absorbed_after) / (photo + compton)
    return share


def primary_share(camera: Camera) -> Float[np.ndarray, " window"]:
    """Return the unscattered counts in each window per unscattered 208 keV count in the peak.

    Above the peak it is the tail of the weak lines at 249.7 and 321.3 keV too; that these are
    attenuated less (by 6 % a unit of length at 249.7 keV) is left out.
    """
    energies_kev = np.array([energy_kev for energy_kev, _ in LINES])
    per_decay = np.array([line_yield for _, line_yield in LINES])
    counts = [per_decay @ counted_share(energies_kev, one, camera) for one in camera.windows]
    return np.array(counts) / peak_count_per_decay(camera)


def peak_count_per_decay(camera: Camera) -> float:
    """Return the 208 keV photons that a crystal, met by all, counts in the peak per decay."""
    energy_kev, per_decay = LINES[0]
    return per_decay * float(counted_share(np.array([energy_kev]), camera.peak, camera)[0])


def _nai_cm2_per_g(energy_kev: Float[np.ndarray, " n"], kind: str) -> Float[np.ndarray, " n"]:
    sodium, iodine = (xraydb.mu_elam(one, energy_kev * 1000.0, kind=kind) for one in ("Na", "I"))
    mixed: Float[np.ndarray, " n"] = _SODIUM_SHARE * sodium + (1.0 - _SODIUM_SHARE) * iodine
    return mixed
