"""The learning rate over a training that may be resumed and prolonged."""

from typing import Any

from monai.optimizers import WarmupCosineSchedule


class WarmupCosine(WarmupCosineSchedule):
    """MONAI's warm-up and cosine, of which a resume restores the epoch and not the length.

    A training that is resumed with more epochs follows the longer cosine to its end.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at that epoch, with the learning rate that this schedule has there."""
        self.last_epoch = state_dict["last_epoch"]
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * self.lr_lambda(self.last_epoch)
