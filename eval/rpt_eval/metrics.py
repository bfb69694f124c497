"""Metrics of a predicted dose in one region; the paper's NRMSE is not defined, so three are.

Every function takes the voxels of one region: ``prediction`` and ``reference``, Gy/GBq, shape
(voxels,). What is undefined (a ratio to 0) is NaN. Floor and names are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32
from rpt_cohort import BadInput
from skimage.metrics import structural_similarity

from rpt_eval.dvh import MM3_PER_ML, Dvh, dvh_r2

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


@dataclass(frozen=True)
class GammaCriteria:
    """Dose difference, % of the reference's maximum, and distance, mm."""

    dose_percent: float
    distance_mm: float

    @classmethod
    def parse(cls, text: str) -> "GammaCriteria":
        """Read ``PERCENT/MM``, such as 10/10.

        Raises:
            BadInput: Not of that form.
        """
        try:
            dose_percent, distance_mm = (float(part) for part in text.split("/"))
        except ValueError as error:
            raise BadInput(f"--gamma must be PERCENT/MM, such as 10/10, got {text!r}.") from error
        return cls(dose_percent, distance_mm)


STEPS_PER_DISTANCE = 10
"""The prediction is interpolated at every tenth of the distance (Wendling et al. 2007)."""
SEARCHED_GAMMA = 1.1
"""Beyond, a voxel has failed; by how much does not matter here."""
ROUNDING = 1e-6
"""A gamma index of 1 by definition must not fail for its last digit."""


def gamma_pass_rate(
    prediction: Float[np.ndarray, "x y z"],
    reference: Float[np.ndarray, "x y z"],
    *,
    spacing_mm: tuple[float, float, float],
    region: Bool[np.ndarray, "x y z"],
    dose_percent: float,
    distance_mm: float,
    local: bool = False,
    cutoff_percent: float = 10.0,
) -> float:
    """Return the share of the rated voxels with a gamma index of at most 1, %.

    Args:
        prediction: Dose map that is searched, interpolated trilinearly.
        reference: Dose map whose voxels are rated, in the same unit and on the same grid.
        spacing_mm: Of the grid, mm.
        region: Where voxels are rated; the search may leave it.
        dose_percent: Dose criterion, % of the reference's maximum in the region, or of each
            voxel's own reference dose where ``local``.
        distance_mm: Distance criterion, mm.
        local: Whether the dose criterion is of each voxel's own dose.
        cutoff_percent: Voxels below this share of the reference's maximum in the region are
            not rated, %. Ours: 10.

    Raises:
        BadInput: pymedphys is not installed, the distance is shorter than a voxel, a
            criterion cannot be, or the region holds no dose to rate.

    Source: Low et al., Med Phys 25 (1998) 656; Wendling et al., Med Phys 34 (2007) 1647; as
    pymedphys computes it.
    """
    _refuse_meaningless(spacing_mm, dose_percent, distance_mm, cutoff_percent)
    maximum = float(np.max(reference, initial=0.0, where=region))
    if not maximum > 0:
        raise BadInput("The region must hold a reference dose above 0 to rate, and holds none.")
    near = _around(region, distance_mm, spacing_mm)
    # What is not rated is put below the cut-off.
    rated = np.where(region, reference, -maximum)[near].astype(np.float64)
    axes = tuple(np.arange(n) * mm for n, mm in zip(rated.shape, spacing_mm, strict=True))
    gamma = _pymedphys_gamma()(
        axes,
        rated,
        axes,
        prediction[near].astype(np.float64),
        dose_percent,
        distance_mm,
        lower_percent_dose_cutoff=cutoff_percent,
        interp_fraction=STEPS_PER_DISTANCE,
        max_gamma=SEARCHED_GAMMA,
        local_gamma=local,
        global_normalisation=maximum,
        skip_once_passed=True,
    )
    # It leaves NaN where nothing was rated.
    return 100.0 * float(np.mean(gamma[~np.isnan(gamma)] <= 1 + ROUNDING))


def _refuse_meaningless(
    spacing_mm: tuple[float, float, float],
    dose_percent: float,
    distance_mm: float,
    cutoff_percent: float,
) -> None:
    if not 0 < dose_percent < np.inf:
        raise BadInput(f"The gamma index needs a dose criterion above 0 %, got {dose_percent!r} %.")
    if not 0 < cutoff_percent <= 100:
        raise BadInput(
            f"cutoff_percent must be above 0 and at most 100 %, got {cutoff_percent!r} %."
        )
    if not max(spacing_mm) <= distance_mm < np.inf:
        raise BadInput(
            f"The gamma distance must be at least the longest voxel edge, {max(spacing_mm):.6g} "
            f"mm: {distance_mm!r} mm means nothing there."
        )


def _around(
    region: Bool[np.ndarray, "x y z"], distance_mm: float, spacing_mm: tuple[float, float, float]
) -> tuple[slice, ...]:
    """Return the box of a region and of all that is searched from it."""
    reach = np.ceil(SEARCHED_GAMMA * distance_mm / np.array(spacing_mm)).astype(int) + 1
    return tuple(
        slice(max(int(found.min() - more), 0), int(found.max() + more) + 1)
        for found, more in zip(np.nonzero(region), reach, strict=True)
    )


def _pymedphys_gamma() -> Callable[..., np.ndarray]:
    try:
        from pymedphys import gamma
    except ImportError as error:
        raise BadInput(
            "The gamma index needs pymedphys, which is not installed: "
            "pip install 'rpt-eval[gamma]'."
        ) from error
    found: Callable[..., np.ndarray] = gamma
    return found


Unit = Literal["Gy/GBq", "1", "%"]
Better = Literal["lower", "higher", "nearer 1", "nearer 0"]
Regions = Literal["all", "organs", "body"]
"""Where a metric is taken; "organs" are organs and lesions."""


@dataclass(frozen=True, eq=False)
class Doses:
    """Two dose maps of one cycle and a region of it: what a metric is a function of.

    Attributes:
        predicted: Gy/GBq, the whole map.
        true: Gy/GBq, the whole reference map.
        known: Where the reference counts.
        region: Where the metric is taken, inside ``known``.
        spacing_mm: Distance between voxel centres along each axis, mm.
        windows: SSIM of the window around each voxel.
        gamma: Criteria of the gamma index, where it is asked for.
    """

    predicted: Float32[np.ndarray, "x y z"]
    true: Float32[np.ndarray, "x y z"]
    known: Bool[np.ndarray, "x y z"]
    region: Bool[np.ndarray, "x y z"]
    spacing_mm: tuple[float, float, float]
    windows: Map
    gamma: GammaCriteria | None = None

    @cached_property
    def prediction(self) -> Voxels:
        """Predicted dose of the region's voxels, Gy/GBq."""
        voxels: Voxels = self.predicted[self.region].astype(np.float64)
        return voxels

    @cached_property
    def reference(self) -> Voxels:
        """Reference dose of the region's voxels, Gy/GBq."""
        voxels: Voxels = self.true[self.region].astype(np.float64)
        return voxels

    @cached_property
    def lines(self) -> IdentityLines:
        """Of the region's identity plot."""
        return identity_lines(self.prediction, self.reference)

    @cached_property
    def histograms(self) -> tuple[Dvh, Dvh]:
        """Of reference and prediction."""
        volume_ml = self.prediction.size * float(np.prod(self.spacing_mm)) / MM3_PER_ML
        predicted = Dvh.of(self.prediction, volume_ml=volume_ml)
        return Dvh.of(self.reference, volume_ml=volume_ml), predicted


@dataclass(frozen=True)
class Metric:
    """A column of numbers: this entry of the table is all there is of it.

    Attributes:
        name: In ``metrics.csv``.
        unit: Of its numbers.
        better: Which way is better; None is described and not tested.
        meaning: One line, for people.
        function: Its value in one region; NaN where it is not defined.
        regions: Where it is taken.
    """

    name: str
    unit: Unit
    better: Better | None
    meaning: str
    function: Callable[[Doses], float]
    regions: Regions = "all"

    def told(self) -> dict[str, str | None]:
        """Return what ``summary.json`` tells of it."""
        parts = ("unit", "better", "meaning", "regions")
        return {name: getattr(self, name) for name in parts}


def _of_voxels(function: Callable[[Voxels, Voxels], float]) -> Callable[[Doses], float]:
    return lambda doses: function(doses.prediction, doses.reference)


def _error_at(volume_pct: float) -> Callable[[Doses], float]:
    def error(doses: Doses) -> float:
        reference, prediction = doses.histograms
        return prediction.dose_at_pct(volume_pct) - reference.dose_at_pct(volume_pct)

    return error


def _gamma_of(doses: Doses) -> float:
    """Return the pass rate by the criteria asked for; NaN where none are."""
    if doses.gamma is None:
        return NAN
    return gamma_pass_rate(
        doses.predicted,
        doses.true,
        spacing_mm=doses.spacing_mm,
        region=doses.region,
        dose_percent=doses.gamma.dose_percent,
        distance_mm=doses.gamma.distance_mm,
    )


TABLE = (
    Metric(
        "nrmse_range",
        "1",
        "lower",
        "RMSE in the region / (max - min of the reference inside the fov)",
        lambda doses: nrmse_range(
            doses.prediction,
            doses.reference,
            map_range_gy_per_gbq=float(np.ptp(doses.true[doses.known])),
        ),
    ),
    Metric(
        "nrmse_masked",
        "1",
        "lower",
        "both maps zeroed outside the region, RMSE over all voxels of the grid / (max - min of "
        "the reference in the region)",
        lambda doses: nrmse_masked(
            doses.prediction, doses.reference, grid_voxels=doses.predicted.size
        ),
    ),
    Metric(
        "nrmse_euclid",
        "1",
        "lower",
        "|prediction - reference| / |reference|, in the region",
        _of_voxels(nrmse_euclid),
    ),
    Metric(
        "shape_error",
        "1",
        "lower",
        "nrmse_euclid after the prediction is scaled to the region's true mean",
        _of_voxels(shape_error),
        "organs",
    ),
    Metric("mae", "Gy/GBq", "lower", "mean of |prediction - reference|", _of_voxels(mae)),
    Metric(
        "mean_error",
        "Gy/GBq",
        "nearer 0",
        "mean of prediction - reference",
        _of_voxels(mean_error),
    ),
    Metric(
        "ape_organ_mean",
        "%",
        "lower",
        "|error of the mean dose| / mean reference dose; over cycles the MAPE",
        _of_voxels(ape_organ_mean),
        "organs",
    ),
    Metric(
        "mape_voxel",
        "%",
        "lower",
        f"mean of |error| / reference over voxels of at least {VOXEL_FLOOR_GY_PER_GBQ} Gy/GBq",
        _of_voxels(mape_voxel),
    ),
    Metric(
        "ssim",
        "1",
        "higher",
        "mean 3D SSIM of windows centred in the region and inside the volume; Gaussian, sigma 1.5 "
        "voxels, 11^3; data range = maximum of the reference inside the fov",
        lambda doses: ssim(doses.windows, doses.region),
    ),
    Metric(
        "slope_truth_on_prediction",
        "1",
        "nearer 1",
        "identity plot, least squares of reference on prediction (calibration)",
        lambda doses: doses.lines.truth_on_prediction,
    ),
    Metric(
        "slope_prediction_on_truth",
        "1",
        "nearer 1",
        "identity plot, least squares of prediction on reference",
        lambda doses: doses.lines.prediction_on_truth,
    ),
    Metric(
        "slope_orthogonal",
        "1",
        "nearer 1",
        "identity plot, orthogonal regression of prediction against reference",
        lambda doses: doses.lines.orthogonal,
    ),
    Metric(
        "pearson_r",
        "1",
        "higher",
        "correlation of prediction and reference over voxels",
        lambda doses: doses.lines.pearson_r,
    ),
    Metric(
        "dvh_r2",
        "1",
        "higher",
        "1 - SSE/SST about the identity line between predicted and reference V(D) at 200 doses "
        "from 0 to the region's reference maximum",
        lambda doses: dvh_r2(*doses.histograms),
        "organs",
    ),
    Metric("d2_error", "Gy/GBq", "nearer 0", "D2, prediction - reference", _error_at(2), "organs"),
    Metric(
        "d50_error", "Gy/GBq", "nearer 0", "D50, prediction - reference", _error_at(50), "organs"
    ),
    Metric(
        "d98_error", "Gy/GBq", "nearer 0", "D98, prediction - reference", _error_at(98), "organs"
    ),
    Metric(
        "gamma_pass_rate",
        "%",
        "higher",
        "gamma index of at most 1, over the body",
        _gamma_of,
        "body",
    ),
    Metric(
        "mean_dose",
        "Gy/GBq",
        None,
        "mean predicted dose",
        lambda doses: float(doses.prediction.mean()),
        "organs",
    ),
    Metric(
        "mean_dose_reference",
        "Gy/GBq",
        None,
        "mean reference dose",
        lambda doses: float(doses.reference.mean()),
        "organs",
    ),
)
"""Every metric of ``metrics.csv``; adding one is one entry."""
METRICS = {metric.name: metric for metric in TABLE}

COMPARED_AS: dict[Better, Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]] = {
    "lower": lambda value: value,
    "higher": lambda value: -value,
    "nearer 1": lambda value: np.abs(value - 1.0),
    "nearer 0": np.abs,
}
"""A metric's values as losses, of which the lower is the better."""
