"""A progress bar over the epochs of a training."""

from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar

from scripts.trainer import losses_of


class TrainingBar:
    """Handler of the trainer: one bar over all epochs, with the last losses beside it."""

    def attach(self, engine: Engine) -> None:
        """Attach to the end of each epoch."""
        ProgressBar(desc="training").attach(
            engine,
            event_name=Events.EPOCH_COMPLETED,
            closing_event_name=Events.COMPLETED,
            output_transform=losses_of,
        )
