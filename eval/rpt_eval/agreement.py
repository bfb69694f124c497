"""Do prediction and reference lie on the line of identity: slopes, Pearson r, Bland–Altman."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Values = Float[np.ndarray, " n"]
NAN = float("nan")


@dataclass(frozen=True)
class IdentityLines:
    """Slopes of an identity plot; NaN where a map is constant.

    Attributes:
        truth_on_prediction: cov ÷ var(prediction), the calibration: 1 is right.
        prediction_on_truth: cov ÷ var(truth): a predictor of least squares flattens this
            to r², so that below 1 is no fault by itself.
        orthogonal: Of prediction against truth, both with the same error variance.
        pearson_r: Correlation coefficient.
    """

    truth_on_prediction: float
    prediction_on_truth: float
    orthogonal: float
    pearson_r: float


def identity_lines(prediction: Values, reference: Values) -> IdentityLines:
    """Fit the lines of an identity plot.

    Args:
        prediction: Gy/GBq.
        reference: Gy/GBq.

    Source: orthogonal regression in closed form, Deming 1943 with equal variances.
    """
    if np.ptp(prediction) == 0 or np.ptp(reference) == 0:
        return IdentityLines(NAN, NAN, NAN, NAN)
    p = np.asarray(prediction, dtype=np.float64) - np.mean(prediction, dtype=np.float64)
    r = np.asarray(reference, dtype=np.float64) - np.mean(reference, dtype=np.float64)
    spp, srr, spr = float(p @ p), float(r @ r), float(p @ r)
    return IdentityLines(
        truth_on_prediction=spr / spp,
        prediction_on_truth=spr / srr,
        orthogonal=_orthogonal(spp, srr, spr),
        pearson_r=float(np.clip(spr / np.sqrt(spp * srr), -1.0, 1.0)),
    )


def _orthogonal(spp: float, srr: float, spr: float) -> float:
    if spr == 0:
        return NAN
    difference = spp - srr
    root = float(np.hypot(difference, 2 * spr))
    # Of two equal forms the one without cancellation.
    return (difference + root) / (2 * spr) if difference >= 0 else 2 * spr / (root - difference)


@dataclass(frozen=True)
class BlandAltman:
    """Bias and 95 % limits of agreement, in the unit of what is compared."""

    bias: float
    lower: float
    upper: float


def bland_altman(prediction: Values, reference: Values) -> BlandAltman:
    """Return the mean difference ± 1.96 sample SD; limits are NaN for fewer than two pairs.

    Source: Bland and Altman, Lancet 327 (1986) 307.
    """
    difference = np.asarray(prediction - reference, dtype=np.float64)
    bias = float(difference.mean())
    spread = 1.96 * float(difference.std(ddof=1)) if difference.size > 1 else NAN
    return BlandAltman(bias, bias - spread, bias + spread)
