"""Radioactive decay between injection, scan and reference time."""

import math


def average_activity_time_s(*, frame_duration_s: float, half_life_s: float) -> float:
    """Return when, within a frame, the activity equals the frame's mean activity.

    T_average = ln(λT / (1 − e^(−λT))) / λ, a little before the middle of the frame.

    Args:
        frame_duration_s: T, s.
        half_life_s: ln 2 / λ, s.

    Returns:
        Time since the start of the frame, s.

    Raises:
        ValueError: A value is not above 0 s.

    Source: Vácha et al., Comprehensive manual for SUV computation (IBSI-SUV, 2026).
    """
    _need_positive("frame_duration_s", frame_duration_s)
    _need_positive("half_life_s", half_life_s)
    x = math.log(2.0) * frame_duration_s / half_life_s
    if x < 1e-5:  # ln(x / (1 − e^(−x))) = x/2 − x²/24 …, which loses all digits below
        return frame_duration_s / 2.0
    # ln(1 − e^(−x)) by expm1, so that a long frame does not overflow
    return frame_duration_s * (math.log(x) - math.log(-math.expm1(-x))) / x


def decayed_activity_bq(*, activity_bq: float, elapsed_s: float, half_life_s: float) -> float:
    """Return the activity after some time.

    Args:
        activity_bq: Activity at time 0, Bq.
        elapsed_s: Time since, s; below 0 for an earlier moment.
        half_life_s: Physical half-life, s.

    Returns:
        Activity, Bq.

    Raises:
        ValueError: ``half_life_s`` is not above 0 s.
    """
    _need_positive("half_life_s", half_life_s)
    return activity_bq * math.pow(2.0, -elapsed_s / half_life_s)


def _need_positive(name: str, value_s: float) -> None:
    if not (value_s > 0 and math.isfinite(value_s)):
        raise ValueError(f"{name} must be a finite number above 0 s, got {value_s!r} s.")
