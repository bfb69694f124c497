"""The generator that is validated and shipped: an average over the last steps of training."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from scripts.distributed import unwrapped


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Return torch's running average of a network, which begins at its first update.

    Args:
        network: The generator.
        decay: Weight of the past at each step; after n steps at most (1 + n) ÷ (10 + n), so that
            a short training is not held back by its beginning. 0 follows the network itself.
    """
    return AveragedModel(unwrapped(network), multi_avg_fn=_exponential(decay))


def _exponential(decay: float) -> Callable[..., Any]:
    def update(average: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor) -> None:
        number = float(steps)
        weight = 1.0 - min(decay, (1.0 + number) / (10.0 + number))
        torch._foreach_lerp_(list(average), list(current), weight)

    return update
