"""Which model a region's points support."""

import math
from collections.abc import Mapping

from rpt_dosimetry.tia.exponential_fit import FREE, ExponentialFit

RESOLVED = 1e-6
"""Relative: residuals below this are the arithmetic's. It keeps exact data from −∞. Ours."""


def aicc(*, residual_sum: float, points: int, free: int) -> float | None:
    """Return Akaike's criterion, corrected for small samples, of a least-squares fit.

    n·ln(RSS/n) + 2k + 2k(k + 1)/(n − k − 1), where k counts the free parameters and σ.

    Args:
        residual_sum: RSS of residuals over SD, dimensionless.
        points: n.
        free: Free parameters of the curve.

    Returns:
        The criterion; None where n < k + 2 leaves it undefined.

    Source: Burnham & Anderson, Model Selection and Multimodel Inference, 2nd ed. (2002),
    section 2.4.
    """
    k = free + 1
    if points < k + 2:
        return None
    mean_square = max(residual_sum / points, RESOLVED**2)
    return points * math.log(mean_square) + 2.0 * k + 2.0 * k * (k + 1) / (points - k - 1)


def choose(fits: Mapping[str, ExponentialFit], *, points: int) -> tuple[str, str]:
    """Choose one of the fitted models.

    The only one, if there is one; else by AICc where it is defined. Else, ours: ``mono`` and
    ``bi_population`` have the same number of free parameters, so whatever AICc's penalty were, it
    would be the same for both, and the smaller residual decides; where both pass through the
    points, ``mono``, which assumes less.

    Args:
        fits: Model → fit; ``mono`` alone, or ``mono`` and ``bi_population`` among them.
        points: n.

    Returns:
        The model, and why, a sentence.
    """
    if len(fits) == 1:
        return "mono", f"{points} points tell a washout and no uptake, so mono was taken."
    criteria = criterion_of(fits, points=points)
    defined = {model: value for model, value in criteria.items() if value is not None}
    if defined:
        best = min(defined, key=lambda model: (round(defined[model], 9), FREE[model]))
        told = ", ".join(f"{model} {value:.2f}" for model, value in defined.items())
        return best, f"{best} has the lowest AICc ({told})."
    mono, bi = fits["mono"], fits["bi_population"]
    floor = points * RESOLVED**2
    best = "bi_population" if bi.residual_sum < max(mono.residual_sum, floor) - floor else "mono"
    reason = (
        "passes through the points and assumes less than bi_population"
        if best == "mono" and mono.residual_sum <= floor
        else "has the smaller residual of mono and bi_population, whose parameters are as many"
    )
    return best, f"{points} points leave AICc undefined (it needs 5); {best} {reason}."


def criterion_of(fits: Mapping[str, ExponentialFit], *, points: int) -> dict[str, float | None]:
    """Return AICc of each fitted model, None where it is undefined."""
    return {
        model: aicc(residual_sum=fit.residual_sum, points=points, free=FREE[model])
        for model, fit in fits.items()
    }
