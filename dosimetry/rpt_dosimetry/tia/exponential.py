"""The shapes of the exponential models, of unit amplitude, with the infusion in them."""

import numpy as np
from jaxtyping import Float

from rpt_dosimetry.tia.times import infusion_factor

SHORTEST_OF_FIRST_TIME = 0.25
SHORTEST_OF_HALF_LIFE = 0.1
"""No effective half-life is fitted below the smaller of a quarter of the first scan's time and a
tenth of the physical half-life. Ours: where only the first point is above 0, least squares drives
the rate to infinity, and the activity before that point, which nobody measured, with it. A fit
that ends here is not used: straight lines and physical decay after the last point are."""


def highest_rate_per_h(*, first_time_h: float, half_life_h: float) -> float:
    """Return the fastest washout that is fitted, 1/h, above the physical rate.

    Args:
        first_time_h: Time of the first scan, h.
        half_life_h: Physical half-life, h.
    """
    shortest_h = min(SHORTEST_OF_FIRST_TIME * first_time_h, SHORTEST_OF_HALF_LIFE * half_life_h)
    return float(np.log(2.0)) / shortest_h


def unit_curve(
    time_h: Float[np.ndarray, " t"], rates_per_h: tuple[float, ...], *, infusion_h: float
) -> Float[np.ndarray, " t"]:
    """Return e^(−k₁t), or e^(−k₁t) − e^(−k₂t) with an uptake, both after an infusion.

    Args:
        time_h: Times, h, not before the end of the infusion.
        rates_per_h: Washout k₁, and uptake k₂ above it if there is one, 1/h.
        infusion_h: Duration of the infusion, h.
    """
    curves = [after_infusion(time_h, rate, infusion_h=infusion_h) for rate in rates_per_h]
    return curves[0] if len(curves) == 1 else curves[0] - curves[1]


def unit_tia_h(rates_per_h: tuple[float, ...]) -> float:
    """Return the time integral of :func:`unit_curve` from 0 to ∞, h; the infusion has no effect."""
    washout, *uptake = rates_per_h
    return 1.0 / washout - sum(1.0 / rate for rate in uptake)


def terms(
    amplitude_mbq: float, rates_per_h: tuple[float, ...], *, infusion_h: float
) -> tuple[tuple[float, float], ...]:
    """Return the curve as (amplitude in MBq, rate in 1/h), whose sum holds after the infusion.

    Args:
        amplitude_mbq: That of the bolus, MBq.
        rates_per_h: Washout and, if there is one, uptake, 1/h.
        infusion_h: Duration of the infusion, h.
    """
    signs = (1.0, -1.0)
    return tuple(
        (sign * amplitude_mbq * infusion_factor(rate_per_h=rate, infusion_h=infusion_h), rate)
        for sign, rate in zip(signs, rates_per_h, strict=False)
    )


def after_infusion(
    time_h: Float[np.ndarray, "..."] | float,
    rate_per_h: Float[np.ndarray, "..."] | float,
    *,
    infusion_h: float,
) -> Float[np.ndarray, "..."]:
    """Return (e^(kT) − 1)/(kT) · e^(−kt), counted from the end of infusion so as not to overflow.

    Args:
        time_h: t, h, not before the end of the infusion.
        rate_per_h: k, 1/h.
        infusion_h: T, h.
    """
    x = np.asarray(rate_per_h * infusion_h)
    mean = -np.expm1(-x) / x if infusion_h > 0 else 1.0
    return np.asarray(mean * np.exp(-rate_per_h * (time_h - infusion_h)))
