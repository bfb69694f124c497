"""Scattered photons in a photopeak window, from counts in windows beside it.

Source: triple energy window, Ogawa et al., IEEE Trans Med Imaging 10 (1991) 408; dual energy
window, Jaszczak et al., J Nucl Med 25 (1984) 893.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput

from rpt_dosimetry.dicom.nm import EnergyWindow
from rpt_dosimetry.dicom.planar import Plane

TRIPLE, DUAL, NONE = "tew", "dew", "none"
METHODS = (TRIPLE, DUAL, NONE)
LARGEST_GAP_KEV = 5.0
"""Between the peak and a window that tells of its scatter; ours."""


@dataclass(frozen=True)
class Windows:
    """A photopeak and the windows beside it.

    Attributes:
        peak: The window that holds the photon.
        lower: The one just below, if any.
        upper: The one just above, if any.
    """

    peak: EnergyWindow
    lower: EnergyWindow | None
    upper: EnergyWindow | None


def choose_windows(windows: list[EnergyWindow], *, photon_kev: float) -> Windows:
    """Choose the photopeak and its neighbours.

    Args:
        windows: What was acquired.
        photon_kev: Energy of the photon, keV.

    Returns:
        The narrowest window that holds the photon, and the nearest window on each side within
        ``LARGEST_GAP_KEV``.

    Raises:
        BadInput: No window holds the photon.
    """
    holding = [window for window in windows if window.holds(photon_kev)]
    if not holding:
        raise BadInput(
            f"A window must hold the photon of {photon_kev:g} keV, got "
            f"{', '.join(map(str, windows)) or 'no window with limits'}. Name another photon."
        )
    peak = min(holding, key=lambda window: window.width_kev)
    gap_kev = LARGEST_GAP_KEV
    below = [one for one in windows if abs(peak.lower_kev - one.upper_kev) <= gap_kev]
    above = [one for one in windows if abs(one.lower_kev - peak.upper_kev) <= gap_kev]
    lower = max(below, key=lambda one: one.upper_kev, default=None)
    upper = min(above, key=lambda one: one.lower_kev, default=None)
    return Windows(peak, lower, upper)


def check_scatter(windows: Windows, *, method: str, dual_factor: float | None) -> None:
    """Refuse a correction that the windows do not allow.

    Args:
        windows: Peak and neighbours.
        method: One of ``METHODS``.
        dual_factor: Scatter in the peak per count in the lower window.

    Raises:
        BadInput: The method is not known, has no lower window, or has no factor (or one that it
            does not use).
    """
    if method not in METHODS:
        raise BadInput(f"The scatter correction must be {', '.join(METHODS)}, got '{method}'.")
    if (dual_factor is not None) != (method == DUAL):
        raise BadInput(
            "The factor of the dual energy window must be given with dew and not without it: it "
            "depends on nuclide and windows (Jaszczak's 0.5 is for Tc-99m)."
        )
    if dual_factor is not None and not 0 <= dual_factor <= 10:
        raise BadInput(f"dual_factor must be from 0 to 10, got {dual_factor!r}.")
    if method != NONE and windows.lower is None:
        raise BadInput(
            f"A window must end within {LARGEST_GAP_KEV:g} keV below the peak {windows.peak} to "
            f"correct for scatter by {method}, and none does. Take none, or acquire one."
        )


def primary_counts(
    peak: Plane,
    lower: Plane | None,
    upper: Plane | None,
    *,
    method: str,
    dual_factor: float | None = None,
) -> Float64[np.ndarray, "x z"]:
    """Subtract the scatter from the counts of a photopeak.

    TEW: S = (C_l / W_l + C_u / W_u) W_p / 2, with C_u = 0 without an upper window. DEW:
    S = k C_l. Counts below 0, which noise makes, are kept: cut off, they would bias the sum.

    Args:
        peak: View in the photopeak.
        lower: View in the window below.
        upper: View in the window above.
        method: One of ``METHODS``.
        dual_factor: k of DEW.

    Returns:
        Primary counts, shape (x, z).
    """
    if method == NONE or lower is None:
        return peak.counts
    if method == DUAL:
        return peak.counts - float(dual_factor or 0.0) * lower.counts
    edges = _per_kev(lower)
    if upper is not None:
        edges = edges + _per_kev(upper)
    return peak.counts - edges * _width_kev(peak) / 2.0


def _per_kev(plane: Plane) -> Float64[np.ndarray, "x z"]:
    return plane.counts / _width_kev(plane)


def _width_kev(plane: Plane) -> float:
    if plane.window is None:
        raise BadInput("Energy windows must tell their limits to correct for scatter.")
    return plane.window.width_kev
