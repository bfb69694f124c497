"""Metrics of a predicted dose in one region; the paper's NRMSE is not defined, so three are.

Every function takes the voxels of one region: ``prediction`` and ``reference``, Gy/GBq, shape
(voxels,). What is undefined (a ratio to 0) is NaN. Floor and names are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from skimage.metrics import structural_similarity

Voxels = Float[np.ndarray, " voxels"]

VOXEL_FLOOR_GY_PER_GBQ = 0.02
"""Voxels of a lower reference dose do not count in ``mape_voxel`` (ours)."""


def rmse(prediction: Voxels, reference: Voxels) -> float:
    """Root mean squared error, Gy/GBq; never below the absolute mean error."""
    return float(np.sqrt(np.mean((prediction - reference) ** 2)))


def mae(prediction: Voxels, reference: Voxels) -> float:
    """Mean absolute error, Gy/GBq."""
    return float(np.mean(np.abs(prediction - reference)))


def mean_error(prediction: Voxels, reference: Voxels) -> float:
    """Mean of prediction − reference, Gy/GBq."""
    return float(np.mean(prediction - reference))


def nrmse_range(prediction: Voxels, reference: Voxels, *, map_range_gy_per_gbq: float) -> float:
    """RMSE over the region ÷ (maximum − minimum of the whole reference map)."""
    return _ratio(rmse(prediction, reference), map_range_gy_per_gbq)


def nrmse_masked(prediction: Voxels, reference: Voxels, *, grid_voxels: int) -> float:
    """RMSE over the whole grid of both maps zeroed outside the region ÷ the region's range.

    Args:
        prediction: Gy/GBq, in the region.
        reference: Gy/GBq, in the region.
        grid_voxels: Voxels of the whole grid, which the squared error is averaged over.
    """
    squares = float(np.sum((prediction - reference) ** 2))
    return _ratio(np.sqrt(squares / grid_voxels), float(np.ptp(reference)))


def nrmse_euclid(prediction: Voxels, reference: Voxels) -> float:
    """‖prediction − reference‖ ÷ ‖reference‖; 1 for a prediction of 0."""
    return _ratio(float(np.linalg.norm(prediction - reference)), float(np.linalg.norm(reference)))


def shape_error(prediction: Voxels, reference: Voxels) -> float:
    """``nrmse_euclid`` after the prediction is scaled to the region's true mean."""
    scale = _ratio(float(np.mean(reference)), float(np.mean(prediction)))
    return nrmse_euclid(scale * prediction, reference)


def ape_organ_mean(prediction: Voxels, reference: Voxels) -> float:
    """|error of the mean dose| ÷ mean reference dose, %; its mean over cycles is the MAPE."""
    return 100.0 * _ratio(abs(mean_error(prediction, reference)), float(np.mean(reference)))


def mape_voxel(
    prediction: Voxels, reference: Voxels, *, floor_gy_per_gbq: float = VOXEL_FLOOR_GY_PER_GBQ
) -> float:
    """Mean of |error| ÷ reference over voxels whose reference reaches the floor, %."""
    counts = reference >= floor_gy_per_gbq
    if not counts.any() or floor_gy_per_gbq <= 0:
        return float("nan")
    relative = np.abs(prediction[counts] - reference[counts]) / reference[counts]
    return 100.0 * float(relative.mean())


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else float("nan")


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


SIGMA_VOXELS = 1.5
WINDOW_VOXELS = 11
MARGIN = WINDOW_VOXELS // 2

Map = Float[np.ndarray, "x y z"]


def ssim_map(prediction: Map, reference: Map, known: Bool[np.ndarray, "x y z"]) -> Map:
    """Return the SSIM of the window around each voxel; NaN where it leaves the volume.

    Gaussian window of σ 1.5 voxels, 11³; the data range is the maximum of the reference
    where it is known, the whole dose map's scale. Both maps are 0 where the reference is
    not known, so that windows at the edge of the field of view compare what is known.

    Args:
        prediction: Gy/GBq.
        reference: Gy/GBq.
        known: Where the reference counts.

    Returns:
        SSIM by window; its mean over a region is the region's SSIM. All NaN where an
        axis is shorter than the window or the reference is 0.

    Source: Wang et al., IEEE Trans Image Process 13 (2004) 600, in scikit-image.
    """
    full = np.full(reference.shape, np.nan)
    data_range = float(reference[known].max())
    if min(reference.shape) < WINDOW_VOXELS or data_range <= 0:
        return full
    box = _windows_box(known)
    _, per_window = structural_similarity(
        np.where(known, reference, 0.0)[box].astype(np.float64),
        np.where(known, prediction, 0.0)[box].astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        sigma=SIGMA_VOXELS,
        use_sample_covariance=False,
        full=True,
    )
    inside = (slice(MARGIN, -MARGIN),) * 3
    full[box][inside] = per_window[inside]
    return full


def ssim(per_window: Map, region: Bool[np.ndarray, "x y z"]) -> float:
    """Mean SSIM of the windows that are centred in a region and lie in the volume; else NaN."""
    values = per_window[region]
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def _windows_box(known: Bool[np.ndarray, "x y z"]) -> tuple[slice, slice, slice]:
    """Return the box of all windows centred where the reference counts, inside the volume."""
    slices = []
    for axis, length in enumerate(known.shape):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(known.any(axis=others))
        start = max(0, int(where[0]) - MARGIN)
        stop = min(length, int(where[-1]) + MARGIN + 1)
        short = max(0, WINDOW_VOXELS - (stop - start))
        start = max(0, start - short)
        slices.append(slice(start, max(stop, min(length, start + WINDOW_VOXELS))))
    return slices[0], slices[1], slices[2]


Better = Literal["lower", "higher", "nearer 1", "nearer 0"]
DOSE, RATIO, PERCENT = "Gy/GBq", "1", "%"


@dataclass(frozen=True)
class Metric:
    """What a column of numbers is."""

    unit: str
    better: Better | None  # None: described, not tested
    meaning: str
    regions: Literal["all", "organs", "body"] = "all"  # organs: and lesions


METRICS = {
    "nrmse_range": Metric(
        RATIO, "lower", "RMSE in the region / (max - min of the reference inside the fov)"
    ),
    "nrmse_masked": Metric(
        RATIO,
        "lower",
        "both maps zeroed outside the region, RMSE over all voxels of the grid / (max - min of "
        "the reference in the region)",
    ),
    "nrmse_euclid": Metric(RATIO, "lower", "|prediction - reference| / |reference|, in the region"),
    "shape_error": Metric(
        RATIO,
        "lower",
        "nrmse_euclid after the prediction is scaled to the region's true mean",
        "organs",
    ),
    "mae": Metric(DOSE, "lower", "mean of |prediction - reference|"),
    "mean_error": Metric(DOSE, "nearer 0", "mean of prediction - reference"),
    "ape_organ_mean": Metric(
        PERCENT,
        "lower",
        "|error of the mean dose| / mean reference dose; over cycles the MAPE",
        "organs",
    ),
    "mape_voxel": Metric(
        PERCENT,
        "lower",
        f"mean of |error| / reference over voxels of at least {VOXEL_FLOOR_GY_PER_GBQ} Gy/GBq",
    ),
    "ssim": Metric(
        RATIO,
        "higher",
        "mean 3D SSIM of windows centred in the region and inside the volume; Gaussian, sigma 1.5 "
        "voxels, 11^3; data range = maximum of the reference inside the fov",
    ),
    "slope_truth_on_prediction": Metric(
        RATIO, "nearer 1", "identity plot, least squares of reference on prediction (calibration)"
    ),
    "slope_prediction_on_truth": Metric(
        RATIO, "nearer 1", "identity plot, least squares of prediction on reference"
    ),
    "slope_orthogonal": Metric(
        RATIO, "nearer 1", "identity plot, orthogonal regression of prediction against reference"
    ),
    "pearson_r": Metric(RATIO, "higher", "correlation of prediction and reference over voxels"),
    "dvh_r2": Metric(
        RATIO,
        "higher",
        "1 - SSE/SST about the identity line between predicted and reference V(D) at 200 doses "
        "from 0 to the region's reference maximum",
        "organs",
    ),
    "d2_error": Metric(DOSE, "nearer 0", "D2, prediction - reference", "organs"),
    "d50_error": Metric(DOSE, "nearer 0", "D50, prediction - reference", "organs"),
    "d98_error": Metric(DOSE, "nearer 0", "D98, prediction - reference", "organs"),
    "gamma_pass_rate": Metric(PERCENT, "higher", "gamma index of at most 1, over the body", "body"),
    "mean_dose": Metric(DOSE, None, "mean predicted dose", "organs"),
    "mean_dose_reference": Metric(DOSE, None, "mean reference dose", "organs"),
}
"""Every metric of ``metrics.csv``."""

COMPARED_AS: dict[Better, Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]] = {
    "lower": lambda value: value,
    "higher": lambda value: -value,
    "nearer 1": lambda value: np.abs(value - 1.0),
    "nearer 0": np.abs,
}
"""A metric's values as losses, of which the lower is the better."""
