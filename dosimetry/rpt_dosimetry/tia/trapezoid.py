"""The trapezoid from 0 h through the measured points, and the tail after the last of them."""

import numpy as np
from jaxtyping import Float


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
) -> Float[np.ndarray, " n"]:
    """Return the curve that the trapezoid and its tail integrate, MBq.

    Args:
        at_h: Where, h.
        time_h: Measured times, h, ascending.
        activity_mbq: Measured activities, MBq.
        rate_per_h: Of the tail, 1/h.
    """
    inside = np.interp(at_h, np.append(0.0, time_h), np.append(0.0, activity_mbq))
    late_h = np.maximum(at_h - time_h[-1], 0.0)
    return np.asarray(inside * np.exp(-rate_per_h * late_h))
