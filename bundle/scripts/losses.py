"""The voxel-wise content loss of the dose generator."""

import torch
from torch import Tensor, nn


class DoseContentLoss(nn.Module):
    """Mean absolute error inside a mask, in Gy/GBq and on a compressed scale.

    The Gy/GBq term keeps means unbiased, which a logarithmic target alone would pull
    low; the asinh term gives liver and background a voice beside kidneys and lesions.
    The paper says "voxel-wise content loss" and no more: both terms are ours.

    Args:
        dose_scale: Where asinh turns from linear to logarithmic, Gy/GBq.
        linear_weight: Weight of the Gy/GBq term against the asinh term.
    """

    def __init__(self, dose_scale: float, linear_weight: float) -> None:
        super().__init__()
        self.dose_scale = float(dose_scale)
        self.linear_weight = float(linear_weight)

    def forward(self, prediction: Tensor, label: Tensor, mask: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            prediction: Predicted dose, Gy/GBq, (batch, 1, x, y, z).
            label: Reference dose, Gy/GBq, same shape, finite.
            mask: 1 where the reference counts, else 0, same shape.
        """
        compressed = torch.asinh(prediction / self.dose_scale) - torch.asinh(
            label / self.dose_scale
        )
        error = self.linear_weight * (prediction - label).abs() + compressed.abs()
        return (error * mask).sum() / mask.sum().clamp(min=1.0)
