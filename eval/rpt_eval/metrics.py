"""Errors of a predicted dose in one region; the paper's NRMSE is not defined, so three are.

Every function takes the voxels of one region: ``prediction`` and ``reference``, Gy/GBq, shape
(voxels,). What is undefined (a ratio to 0) is NaN. Sources: `reference/learning.md` of this
project's seed, which names each by its denominator; floor and names are ours.
"""

import numpy as np
from jaxtyping import Float

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
