"""Corrections of counts: what a busy detector loses, and what scattered photons add to a window.

Source of dead time: Sorenson, J Nucl Med 16 (1975) 284 (the two models); for Lu-177 the
paralyzable one with τ = 4.60 µs of the 208 keV peak of a Siemens Symbia (Uribe et al., EJNMMI
Phys 5 (2018) 2); its inverse by Lambert's W (EJNMMI Phys 7 (2020), doi
10.1186/s40658-020-00296-w). τ belongs to the window and the scatter in which it was measured,
and the rate must be of that window and of one detector. A busy detector loses the counts of
every window alike (ours).

Source of scatter: triple energy window, Ogawa et al., IEEE Trans Med Imaging 10 (1991) 408; dual
energy window, Jaszczak et al., J Nucl Med 25 (1984) 893.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput
from scipy.special import lambertw

from rpt_dosimetry.dicom.nm import EnergyWindow
from rpt_dosimetry.dicom.planar import Plane
from rpt_dosimetry.options import CalibrationOptions, DeadTime

_S_PER_US = 1e-6
_ITERATIONS = 200


def live_fraction(
    true_cps: Float64[np.ndarray, " n"], dead_time: DeadTime
) -> Float64[np.ndarray, " n"]:
    """Return the fraction of counts that is recorded at a true rate, 1/s."""
    busy: Float64[np.ndarray, " n"] = true_cps * (dead_time.tau_us * _S_PER_US)
    return np.exp(-busy) if dead_time.model == "paralyzable" else 1.0 / (1.0 + busy)


def true_over_observed(observed_cps: float, dead_time: DeadTime) -> float:
    """Return true over observed counts.

    Args:
        observed_cps: Counts per second that one detector recorded in the window of τ.

    Returns:
        1 or above, on the branch below the paralyzable maximum.

    Raises:
        BadInput: The rate is below 0, or no true rate gives it.
    """
    tau_s = dead_time.tau_us * _S_PER_US
    paralyzable = dead_time.model == "paralyzable"
    largest = np.exp(-1.0) if paralyzable else 1.0
    if not 0 <= observed_cps < np.inf:
        raise BadInput(f"observed_cps must be 0 1/s or above, got {observed_cps!r} 1/s.")
    if observed_cps * dead_time.tau_us * _S_PER_US >= largest:
        raise BadInput(
            f"observed_cps must be below {largest / tau_s:.4g} 1/s, the most that a "
            f"{dead_time.model} detector of {dead_time.tau_us:g} µs records, got {observed_cps:g} "
            "1/s. Give the rate of one detector."
        )
    if not paralyzable:
        return 1.0 / (1.0 - observed_cps * tau_s)
    # r = n e^(−nτ), so n = −W(−rτ)/τ and n/r = e^(nτ) = e^(−W(−rτ)), finite at r = 0.
    return float(np.exp(-lambertw(-observed_cps * tau_s).real))


def sweep_live_fraction(
    row_counts: Float64[np.ndarray, " z"],
    *,
    dead_time: DeadTime,
    rows_in_view: int,
    exposure_s: float,
) -> Float64[np.ndarray, " z"]:
    """Return which fraction of each row's counts a whole-body sweep recorded.

    At every moment a detector sees ``rows_in_view`` rows and loses counts by their sum; a row is
    exposed while the detector passes, so what it lost is the mean over those positions. The true
    rates are found by fixed-point iteration, which meets the paralyzable model's lower branch.

    Args:
        row_counts: Recorded counts of each row in the window of τ, all columns together.
        exposure_s: How long each row was seen, s: detector length over table speed.

    Raises:
        BadInput: The exposure is not above 0 s, or no true rate gives the counts.

    Source: the models above; their use along the sweep is ours.
    """
    if not exposure_s > 0 or rows_in_view < 1:
        raise BadInput(f"exposure_s must be above 0 s and rows be in view, got {exposure_s!r} s.")
    observed_cps = np.maximum(row_counts, 0.0) / exposure_s
    live = np.ones_like(observed_cps)
    for _ in range(_ITERATIONS):
        seen_cps = np.convolve(observed_cps / live, np.ones(rows_in_view), mode="full")
        # One live fraction for each detector position; each row meets rows_in_view of them.
        at_position = live_fraction(seen_cps, dead_time)
        new = np.convolve(at_position, np.full(rows_in_view, 1.0 / rows_in_view), mode="valid")
        if not (new > 0.2).all():  # ours: far beyond any scan that should be quantified
            break
        if np.abs(new - live).max() < 1e-12:
            return new
        live = new
    raise BadInput(
        f"A sweep must lose fewer counts than a {dead_time.model} detector of "
        f"{dead_time.tau_us:g} µs can tell from less activity, and it does not. Check tau_us, the "
        "detector's length and the speed."
    )


LARGEST_GAP_KEV = 5.0
"""Between the peak and a window that tells of its scatter; ours."""


@dataclass(frozen=True)
class Windows:
    """A photopeak and the windows beside it."""

    peak: EnergyWindow
    lower: EnergyWindow | None
    upper: EnergyWindow | None


def choose_windows(windows: list[EnergyWindow], *, photon_kev: float) -> Windows:
    """Choose the photopeak and its neighbours.

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


def check_scatter(windows: Windows, options: CalibrationOptions) -> None:
    """Refuse a correction that the windows do not allow.

    Raises:
        BadInput: The method has no lower window, or no factor (or one that it does not use).
    """
    if (options.dew_factor is not None) != (options.scatter == "dew"):
        raise BadInput(
            "The factor of the dual energy window, dew_factor, must be given with dew and not "
            "without it: it depends on nuclide and windows (Jaszczak's 0.5 is for Tc-99m)."
        )
    if options.scatter != "none" and windows.lower is None:
        raise BadInput(
            f"A window must end within {LARGEST_GAP_KEV:g} keV below the peak {windows.peak} to "
            f"correct for scatter by {options.scatter}, and none does. Take none, or acquire one."
        )


def primary_counts(
    peak: Plane, lower: Plane | None, upper: Plane | None, options: CalibrationOptions
) -> Float64[np.ndarray, "x z"]:
    """Subtract the scatter from the counts of a photopeak.

    TEW: S = (C_l / W_l + C_u / W_u) W_p / 2, with C_u = 0 without an upper window. DEW:
    S = k C_l. Counts below 0, which noise makes, are kept: cut off, they would bias the sum.
    """
    if options.scatter == "none" or lower is None:
        return peak.counts
    if options.dew_factor is not None:
        return peak.counts - options.dew_factor * lower.counts
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
