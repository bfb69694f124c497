"""Metrics of a predicted dose map where the reference counts; each names its denominator.

Maps are (1, x, y, z) in Gy/GBq; the reference is NaN where it does not count (outside
the body or the field of view). The paper does not define its NRMSE; ``rpt_eval`` has
the full set of readings.
"""

from collections.abc import Callable

import torch
from monai.metrics import CumulativeIterationMetric
from monai.metrics.regression import compute_ssim_and_cs
from monai.transforms import generate_spatial_bounding_box
from torch import Tensor

SSIM_SIGMA_VOXELS = 1.5
SSIM_WINDOW_VOXELS = 11


def rmse(prediction: Tensor, label: Tensor) -> Tensor:
    """Root mean squared error, Gy/GBq."""
    counts = label.isfinite()
    return (prediction[counts] - label[counts]).square().mean().sqrt()


def nrmse_range(prediction: Tensor, label: Tensor) -> Tensor:
    """RMSE ÷ (maximum − minimum of the reference)."""
    reference = label[label.isfinite()]
    return rmse(prediction, label) / (reference.max() - reference.min())


def nrmse_euclid(prediction: Tensor, label: Tensor) -> Tensor:
    """‖prediction − reference‖ ÷ ‖reference‖."""
    counts = label.isfinite()
    norm = torch.linalg.vector_norm
    distance: Tensor = norm(prediction[counts] - label[counts]) / norm(label[counts])
    return distance


def ssim(prediction: Tensor, label: Tensor) -> Tensor:
    """Mean 3D SSIM of the windows in the volume that are centred where the reference counts.

    Gaussian window of σ 1.5 voxels, 11³; data range = the reference's maximum. Where the
    reference does not count, both maps are 0. NaN where no window fits.
    """
    # Windows elsewhere do not count: look at the box that holds those that do.
    margin = SSIM_WINDOW_VOXELS // 2
    box = generate_spatial_bounding_box(label.isfinite(), margin=margin, allow_smaller=True)
    x, y, z = (slice(int(start), int(end)) for start, end in zip(*box, strict=True))
    prediction, label = prediction[:, x, y, z], label[:, x, y, z]
    if min(label.shape[1:]) < SSIM_WINDOW_VOXELS:
        return label.new_tensor(float("nan"))
    counts = label.isfinite()
    reference = label.nan_to_num(nan=0.0)
    per_window, _ = compute_ssim_and_cs(
        (prediction * counts)[None],
        reference[None],
        spatial_dims=3,
        kernel_size=[SSIM_WINDOW_VOXELS] * 3,
        kernel_sigma=[SSIM_SIGMA_VOXELS] * 3,
        data_range=float(reference.max()),
    )
    inside = slice(margin, -margin)
    mean: Tensor = per_window[0][counts[:, inside, inside, inside]].mean()
    return mean


class CaseMetric(CumulativeIterationMetric):
    """Average one of this module's functions over cases.

    Args:
        function: Of (prediction, label), each (1, x, y, z).
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def _compute_tensor(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the metric of each case, (batch, 1)."""
        values = [self.function(p, label) for p, label in zip(y_pred, y, strict=True)]
        return torch.stack(values)[:, None]

    def aggregate(self) -> Tensor:
        """Return the mean over cases."""
        return torch.as_tensor(self.get_buffer()).mean()


def lower_is_better(current: float, best: float) -> bool:
    """Compare key metrics that are errors; MONAI's start value of −1 counts as none."""
    return best < 0 or current < best
