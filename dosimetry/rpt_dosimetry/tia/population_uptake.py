"""What an uptake that is taken from the population, not fitted, adds to the TIA's uncertainty."""

import math
from dataclasses import replace

from rpt_dosimetry.tia.exponential_fit import ExponentialFit, Points, fit_exponential

UPTAKE_FACTOR = 2.0
"""The population's uptake half-life is uncertain by this factor either way. Ours: no published
spread for the organs of 177Lu-PSMA or 177Lu-DOTATATE was found."""


def with_uptake_sd(
    fit: ExponentialFit, points: Points, *, uptake_half_life_h: float
) -> ExponentialFit:
    """Add, in quadrature, half the difference of the TIA at half and at twice the uptake half-life.

    Args:
        fit: Any; only a ``bi_population`` fit with a standard deviation is changed.
        points: What was fitted.
        uptake_half_life_h: That of the fit, h.
    """
    if fit.model != "bi_population" or fit.tia_sd_mbq_h is None:
        return fit
    fast, slow = (
        fit_exponential(points, model=fit.model, uptake_half_life_h=uptake_half_life_h * factor)
        for factor in (1.0 / UPTAKE_FACTOR, UPTAKE_FACTOR)
    )
    half_difference = 0.5 * (slow.tia_mbq_h - fast.tia_mbq_h)
    return replace(fit, tia_sd_mbq_h=math.hypot(fit.tia_sd_mbq_h, half_difference))
