"""How likely a photon of some energy is counted in some window."""

import numpy as np
import xraydb
from jaxtyping import Float
from rpt_dosimetry.dicom.nm import EnergyWindow
from rpt_dosimetry.radiation.photons import ELECTRON_REST_KEV
from scipy.special import ndtr

from rpt_phantom.fields import FWHM_PER_STD
from rpt_phantom.spect.camera import PHOTON_KEV, Camera

LINES: tuple[tuple[float, float], ...] = ((PHOTON_KEV, 0.110), (249.7, 0.00212), (321.3, 0.00219))
"""Photons of Lu-177 that reach the windows: energy, keV, and yield per decay. Source: ICRP-107."""
NAI_G_PER_CM3 = 3.67
_REFERENCE_KEV = 140.5
_SODIUM_SHARE = 22.990 / (22.990 + 126.904)
_MM_PER_CM = 10.0


def counted_share(
    energy_kev: Float[np.ndarray, " n"], window: EnergyWindow, camera: Camera
) -> Float[np.ndarray, " n"]:
    """Return how likely a photon that meets the crystal is counted in a window.

    Full absorption in the crystal times a Gaussian energy response; what leaves the crystal with
    a part of its energy is left out.

    Args:
        energy_kev: Energy at the crystal, keV.
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
