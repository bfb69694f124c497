"""The metrics by name: unit, which way is better, and what they mean in one line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from rpt_eval.metrics import VOXEL_FLOOR_GY_PER_GBQ

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
