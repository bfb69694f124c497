"""TIA from one scan.

Both methods assume one exponential, a·e^(−λt), from 0 h on. Where their estimate is good, for a
curve that is one, is given beside them; it says nothing of uptake or of a second phase.
"""

import math

from rpt_cohort import BadInput

HAENSCHEID_VALID = (0.75, 2.5)
"""Effective half-lives after injection between which Hänscheid's estimate is within −12 and +6 %
of the true TIA."""

MADSEN_VALID = (0.65, 1.64)
"""Effective over population half-life between which Madsen's estimate is within 10 % of the true
TIA, for a scan at the population's mean life, 1.44 half-lives, where it is least sensitive."""


def haenscheid_tia_mbq_h(*, activity_mbq: float, time_h: float) -> float:
    """Return A(t) · 2t/ln 2, MBq·h, which needs no half-life.

    For an exponential the true TIA is A(t)·2^x·T/ln 2 with x = t/T; 2x is a chord of 2^x, right
    at x = 1 and x = 2. It is made for [177Lu]Lu-DOTATATE about 4 d after injection; outside
    :data:`HAENSCHEID_VALID` the estimate is more than 12 % too low.

    Args:
        activity_mbq: Not decay-corrected.
        time_h: Injection to mid-scan.

    Raises:
        BadInput: A value is not finite, the activity below 0 or the time not above 0 h.

    Source: Hänscheid et al., J Nucl Med 59 (2018) 75.
    """
    _check(activity_mbq, time_h)
    return activity_mbq * 2.0 * time_h / math.log(2.0)


def madsen_tia_mbq_h(*, activity_mbq: float, time_h: float, population_half_life_h: float) -> float:
    """Return A(t) · e^(λt)/λ, MBq·h, λ the population's effective rate.

    A scan at 1/λ, 1.44 population half-lives, is the least sensitive to the patient's own rate;
    the true half-life may then be within :data:`MADSEN_VALID` of the population's.

    Args:
        activity_mbq: Not decay-corrected.
        time_h: Injection to mid-scan.

    Raises:
        BadInput: A value is not finite, the activity below 0, or time or half-life not above 0 h.

    Source: Madsen et al., Med Phys 45 (2018) 2318.
    """
    _check(activity_mbq, time_h)
    rate = math.log(2.0) / _positive(population_half_life_h, "population_half_life_h")
    return activity_mbq * math.exp(rate * time_h) / rate


def _check(activity_mbq: float, time_h: float) -> None:
    if not (math.isfinite(activity_mbq) and activity_mbq >= 0):
        raise BadInput(
            f"activity_mbq must be finite and at least 0 MBq, got {activity_mbq!r} MBq. Check the "
            "region's mask."
        )
    _positive(time_h, "time_h")


def _positive(value_h: float, name: str) -> float:
    if not (math.isfinite(value_h) and value_h > 0):
        raise BadInput(f"{name} must be a finite number above 0 h, got {value_h!r} h.")
    return value_h
