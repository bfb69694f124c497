"""The voxel-wise content loss of the dose generator."""

import torch
from torch import Tensor, nn


class DoseContentLoss(nn.Module):
    """Mean squared error inside a mask, in Gy/GBq and on a compressed scale.

    Squared, so that the mean of what may follow a PET is learnt and not its median, which
    for doses that scatter log-normally lies low. The Gy/GBq term counts lesions and
    kidneys, the asinh term gives liver and background a voice. The paper says "voxel-wise
    content loss" and no more: both terms are ours.

    Args:
        dose_scale: Where asinh turns from linear to logarithmic, Gy/GBq.
        linear_weight: Weight of the (Gy/GBq)² term against the asinh term.
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
        error = self.linear_weight * (prediction - label).square() + compressed.square()
        return (error * mask).sum() / mask.sum().clamp(min=1.0)
