"""The trapezoid from 0 h through the measured points, and the tail after the last of them."""

import numpy as np
from jaxtyping import Bool, Float

FALLS = 1e-6
"""Relative, ours: by which a point must be below the one before it to be on an exponential."""


def trapezoid_tia(
    time_h: Float[np.ndarray, " t"], activity: Float[np.ndarray, "t ..."]
) -> Float[np.ndarray, "..."]:
    """Integrate from 0 h to the last point along straight lines, the first from 0 at 0 h.

    Args:
        time_h: Times, h, ascending.
        activity: Activities, any unit, of a region or of many voxels.

    Returns:
        Unit of the activity × h.
    """
    rise = 0.5 * activity[0] * time_h[0]
    return np.asarray(rise + np.trapezoid(activity, time_h, axis=0))


def log_trapezoid_tia(
    time_h: Float[np.ndarray, " t"], activity_mbq: Float[np.ndarray, " t"]
) -> float:
    """Integrate from 0 h to the last point: rises along straight lines, falls exponentially, MBq·h.

    Source: the linear-up, logarithmic-down trapezoid of pharmacokinetics; exact for exponentials
    between scans that lie far apart, where straight lines are tens of percent too high.

    Args:
        time_h: Times, h, ascending.
        activity_mbq: Activities, MBq.
    """
    before, after = activity_mbq[:-1], activity_mbq[1:]
    mean = 0.5 * (before + after)
    falls = _falls(activity_mbq)
    mean[falls] = (before[falls] - after[falls]) / np.log(before[falls] / after[falls])
    return float(0.5 * activity_mbq[0] * time_h[0] + mean @ np.diff(time_h))


def _falls(activity_mbq: Float[np.ndarray, " t"]) -> Bool[np.ndarray, " s"]:
    """Tell of each step whether it is an exponential."""
    before, after = activity_mbq[:-1], activity_mbq[1:]
    return np.asarray((after > 0) & (after < before * (1.0 - FALLS)))


def physical_tail_tia(
    time_h: Float[np.ndarray, " t"], activity: Float[np.ndarray, "t ..."], *, decay_per_h: float
) -> Float[np.ndarray, "..."]:
    """Add to the trapezoid only physical decay after the last point: the largest tail there is.

    Args:
        time_h: Times, h, ascending.
        activity: Activities, any unit, of a region or of many voxels.
        decay_per_h: Physical decay rate, 1/h.

    Returns:
        Unit of the activity × h.
    """
    return np.asarray(trapezoid_tia(time_h, activity) + activity[-1] / decay_per_h)


def tail_rate_per_h(
    time_h: Float[np.ndarray, " t"], activity_mbq: Float[np.ndarray, " t"], *, decay_per_h: float
) -> float:
    """Return the rate of the exponential through the last two points, at least the physical one.

    Two points and not more are ours: an earlier one still belongs to a faster phase.

    Args:
        time_h: Times, h, ascending, at least two.
        activity_mbq: Activities, MBq.
        decay_per_h: Physical decay rate, 1/h; returned where the last activity is 0, and with it
            the tail.
    """
    before, last = float(activity_mbq[-2]), float(activity_mbq[-1])
    if not 0 < last < before:
        return decay_per_h
    return max(float(np.log(before / last) / (time_h[-1] - time_h[-2])), decay_per_h)


def trapezoid_activity_mbq(
    at_h: Float[np.ndarray, " n"],
    time_h: Float[np.ndarray, " t"],
    activity_mbq: Float[np.ndarray, " t"],
    *,
    rate_per_h: float,
    exponentials: bool,
) -> Float[np.ndarray, " n"]:
    """Return the curve that a trapezoid and its tail integrate, MBq.

    Args:
        at_h: Where, h.
        time_h: Measured times, h, ascending.
        activity_mbq: Measured activities, MBq.
        rate_per_h: Of the tail, 1/h.
        exponentials: Whether it falls along exponentials, as :func:`log_trapezoid_tia`, or lines.
    """
    inside = np.interp(at_h, np.append(0.0, time_h), np.append(0.0, activity_mbq))
    if exponentials and len(time_h) > 1:
        step = np.clip(np.searchsorted(time_h, at_h, side="right") - 1, 0, len(time_h) - 2)
        between = (at_h >= time_h[0]) & (at_h < time_h[-1]) & _falls(activity_mbq)[step]
        logs = np.log(np.maximum(activity_mbq, np.finfo(np.float64).tiny))
        inside = np.where(between, np.exp(np.interp(at_h, time_h, logs)), inside)
    late_h = np.maximum(at_h - time_h[-1], 0.0)
    return np.asarray(inside * np.exp(-rate_per_h * late_h))
