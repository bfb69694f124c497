"""Of many processes, only the first logs."""

from collections.abc import Sequence
from typing import Any

import torch
from monai.handlers import StatsHandler, TensorBoardHandler

from scripts.pictures import ImageStrip
from scripts.progress import TrainingBar

LOGGING_HANDLERS = (StatsHandler, TensorBoardHandler, ImageStrip, TrainingBar)


def handlers_here(handlers: Sequence[Any]) -> list[Any]:
    """Return the handlers for this process: in all but the first, those that log are left out."""
    if torch.distributed.get_rank() == 0:
        return list(handlers)
    return [handler for handler in handlers if not isinstance(handler, LOGGING_HANDLERS)]
