"""The losses of the dose generator beside the adversarial one.

Each is a sum over voxels or organs ÷ their mean number per process, so that gradients averaged
over processes are those of the whole batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scripts.distributed import mean_over_processes


class DoseContentLoss(nn.Module):
    """Mean deviance of a gamma distribution inside a mask: the relative error, squared.

    With l and p the label's and the prediction's dose plus ``dose_scale``, 2 (l / p − 1 −
    ln(l / p)), which is (l / p − 1)² where they are close (McCullagh & Nelder, Generalized Linear
    Models, ch. 8). A lesion of 5 Gy/GBq counts no more than liver of 0.1, and yet it is the mean of
    what may follow a PET that is learnt, as by a squared error, and not its median, which for
    doses that scatter log-normally lies low. The paper says "voxel-wise content loss" and no
    more: ours.

    Args:
        dose_scale: Gy/GBq; well below it the error counts as it is, above relative to the dose.
    """

    def __init__(self, dose_scale: float) -> None:
        super().__init__()
        self.dose_scale = float(dose_scale)

    def forward(self, prediction: Tensor, label: Tensor, mask: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            prediction: Predicted dose, Gy/GBq, (batch, 1, x, y, z), 0 or more.
            label: Reference dose, Gy/GBq, same shape, finite, 0 or more.
            mask: 1 where the reference counts, else 0, same shape.
        """
        ratio = (label + self.dose_scale) / (prediction + self.dose_scale)
        deviance = 2.0 * (ratio - 1.0 - ratio.log())
        return (deviance * mask).sum() / mean_over_processes(mask.sum()).clamp(min=1.0)


class OrganShapeLoss(nn.Module):
    """Squared error of the dose's shape within organs, blind to each organ's scale.

    Within each organ of each patch, prediction and label are both divided by their mean there;
    the squared error ÷ the label's square is averaged over organs. An organ's mean dose is mostly
    not foretold by the PET, and its error would drown the shape's in a plain loss. Ours. Masks are
    needed in training alone; where there are none, the loss is 0.

    Args:
        organs: Labels of the organs, TotalSegmentator's numbers and 150–155 (salivary glands).
        least_voxels: Of an organ in a patch that counts.
    """

    def __init__(self, organs: Sequence[int], least_voxels: int) -> None:
        super().__init__()
        self.organs = tuple(organs)
        self.least_voxels = int(least_voxels)

    def forward(self, prediction: Tensor, label: Tensor, organs: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            prediction: Predicted dose, Gy/GBq, (batch, 1, x, y, z), 0 or more.
            label: Reference dose, Gy/GBq, same shape, finite.
            organs: Label of the organ, 0 where the reference does not count, same shape.
        """
        rows = [self._of_organ(prediction, label, organs == organ) for organ in self.organs]
        error, counts = (torch.stack(column) for column in zip(*rows, strict=True))
        return error.sum() / mean_over_processes(counts.sum()).clamp(min=1.0)

    def _of_organ(self, prediction: Tensor, label: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Return each patch's error, and 1 where it counts, else 0; both (batch,)."""
        inside, axes = inside.to(label.dtype), (1, 2, 3, 4)
        voxels = inside.sum(axes)
        counts = (voxels >= self.least_voxels) & ((label * inside).sum(axes) > 0)
        shapes = []
        for dose in (prediction, label):
            mean = (dose * inside).sum(axes) / voxels.clamp(min=1.0)
            # 1 where nothing counts: no division by 0, not even in the gradient.
            mean = torch.where(counts & (mean > 0), mean, 1.0)
            shapes.append(dose / mean.reshape(-1, 1, 1, 1, 1))
        error = ((shapes[0] - shapes[1]).square() * inside).sum(axes)
        norm = torch.where(counts, (shapes[1].square() * inside).sum(axes), 1.0)
        return torch.where(counts, error / norm, 0.0), counts.to(label.dtype)
