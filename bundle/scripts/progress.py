"""A progress bar over the steps of a training."""

from contextlib import ExitStack

import ignite.distributed as idist
from ignite.engine import Engine, Events
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from scripts.trainer import losses_of


class TrainingBar:
    """Handler of the trainer: one bar over all steps, with epoch, losses and the time left.

    Last among the handlers, so that it knows the step that a resume goes on from. ignite's bar
    counts from its first epoch, and stands still within each.
    """

    def attach(self, engine: Engine) -> None:
        """Attach to start, steps, and end or failure."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.move)
        engine.add_event_handler(Events.COMPLETED, self.close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.give_up)

    def start(self, engine: Engine) -> None:
        """Show the bar, and log lines above it."""
        self.shown = ExitStack()
        self.shown.enter_context(logging_redirect_tqdm())
        bar = tqdm(
            total=engine.state.max_epochs * engine.state.epoch_length,
            initial=engine.state.iteration,
            unit="step",
            dynamic_ncols=True,
            disable=idist.get_rank() > 0,
        )
        self.bar = self.shown.enter_context(bar)

    def move(self, engine: Engine) -> None:
        """Move it by a step."""
        self.bar.set_description(
            f"training, epoch {engine.state.epoch}/{engine.state.max_epochs}", refresh=False
        )
        if not self.bar.disable and self.bar.n % 5 == 0:  # a GPU is not made to wait each time
            self.bar.set_postfix(losses_of(engine.state.output), refresh=False)
        self.bar.update()

    def close(self) -> None:
        """Leave it as it stands."""
        self.shown.close()

    def give_up(self, engine: Engine, error: Exception) -> None:
        """Leave it as it stands, and the error to whoever is above."""
        self.shown.close()
        raise error
