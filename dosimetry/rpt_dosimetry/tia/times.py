"""Scan times, and what an infusion of some duration changes.

A bolus that gives a·e^(−kt) becomes, when the same activity is infused at a constant rate for T
from time 0 on, after the end of the infusion a · (e^(kT) − 1)/(kT) · e^(−kt): the mean of
a·e^(−k(t−s)) over the starts s from 0 to T. The time integral from 0 to ∞ stays a/k, since every
part of the activity decays as if it had been a bolus of its own.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput


def check_times(time_h: Sequence[float], *, infusion_h: float = 0.0) -> Float[np.ndarray, " t"]:
    """Check the times of a series of scans.

    Args:
        time_h: Start of infusion to mid-scan, h, one a scan.
        infusion_h: Duration of the infusion, h; 0 for a bolus.

    Returns:
        The times, h.

    Raises:
        BadInput: There is none, one is not finite or not above 0 h, they are repeated or out of
            order, or one is before the end of the infusion, where the curve is not modelled.
    """
    if not (np.isfinite(infusion_h) and infusion_h >= 0):
        raise BadInput(f"infusion_h must be a finite number of at least 0 h, got {infusion_h!r} h.")
    times = np.asarray(time_h, dtype=np.float64)
    if times.ndim != 1 or times.size == 0:
        raise BadInput("time_h must hold at least one scan time in h, got none. Give one a scan.")
    for time in times:
        if not (np.isfinite(time) and time > 0):
            raise BadInput(
                f"time_h must be finite and above 0 h, got {time:g} h. Count from the start of "
                "infusion to mid-scan."
            )
    for earlier, later in pairwise(times.tolist()):
        if earlier == later:
            raise BadInput(
                f"time_h must be distinct, and {later:g} h is repeated. Give each scan its own "
                "time."
            )
        if later < earlier:
            raise BadInput(
                f"time_h must ascend, and {later:g} h comes after {earlier:g} h. Put the scans in "
                "order of time."
            )
    if times[0] < infusion_h:
        raise BadInput(
            f"time_h must not be before the end of the infusion at {infusion_h:g} h, got "
            f"{times[0]:g} h. Leave that scan out, or count from the start of infusion."
        )
    return times


def check_half_life(half_life_h: float) -> float:
    """Return the physical decay rate, 1/h.

    Args:
        half_life_h: Physical half-life, h; Lu-177: 159.528.

    Raises:
        BadInput: It is not a finite number above 0 h.
    """
    if not (np.isfinite(half_life_h) and half_life_h > 0):
        raise BadInput(
            f"half_life_h must be a finite number above 0 h, got {half_life_h!r} h. 6.647 d is "
            "159.528 h."
        )
    return float(np.log(2.0)) / half_life_h


def infusion_factor(*, rate_per_h: float, infusion_h: float) -> float:
    """Return (e^(kT) − 1)/(kT), the amplitude of e^(−kt) after an infusion over that of a bolus.

    Args:
        rate_per_h: k, 1/h, above 0.
        infusion_h: T, h; 0 gives 1.
    """
    x = rate_per_h * infusion_h
    return float(np.expm1(x) / x) if x > 0 else 1.0
