"""What a training keeps: the best generator, and all that a resume needs."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from torch import Tensor, nn

from scripts.checks import shown
from scripts.distributed import unwrapped
from scripts.errors import BadInput
from scripts.fingerprints import PARTS, Fingerprint, kept_hash, write_model_json
from scripts.weights import load_tensors, save_whole

logger = logging.getLogger(__name__)
BEST, RESUMABLE = "model.pt", "checkpoint.pt"


def require_unused(ckpt_dir: str, resume_from: str | None) -> None:
    """See that no other training's weights would be overwritten.

    Raises:
        BadInput: ``ckpt_dir`` holds weights or a checkpoint, and is not the folder that
            ``resume_from`` goes on in.
    """
    folder = Path(ckpt_dir)
    used = [name for name in (BEST, RESUMABLE) if (folder / name).exists()]
    goes_on = resume_from is not None and Path(resume_from).resolve().parent == folder.resolve()
    if used and not goes_on:
        raise BadInput(
            f"ckpt_dir must be a folder without another training, and {ckpt_dir} holds its "
            f"{' and '.join(used)}, which would be overwritten. Name another --ckpt_dir, or go on "
            f"with --resume_from {folder / RESUMABLE}"
        )


class KeepBest:
    """Handler of the evaluator: write the generator whenever its error is the lowest so far.

    It rides in the resumable checkpoint, so that after a resume a worse generator does
    not replace a better one.

    Args:
        network: The generator.
        path: Where its plain state dict goes.
        metric: Name of the evaluator's metric, an error: lower is better.
        pets: ``training`` and ``validation`` → path of a PET → its fingerprint; their
            hashes go into a JSON beside the weights.
    """

    def __init__(
        self,
        network: nn.Module,
        path: str,
        metric: str,
        pets: Mapping[str, Mapping[str, Fingerprint]],
    ) -> None:
        self.pets = {part: {kept_hash(found) for found in pets[part].values()} for part in PARTS}
        self.network = network
        self.path = Path(path)
        self.metric = metric
        self.lowest_error = math.inf
        self.validations_since = 0
        self.weights: dict[str, Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to the end of each validation."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Compare, and write if better."""
        error = float(engine.state.metrics[self.metric])
        self.validations_since += 1
        verdict = f"lowest {self.metric} still {self.lowest_error:.4f}"
        if error < self.lowest_error:
            self.lowest_error, self.validations_since = error, 0
            state = unwrapped(self.network).state_dict()
            self.weights = {key: tensor.detach().cpu().clone() for key, tensor in state.items()}
            self._write()
            verdict = f"lowest {self.metric} so far: kept in {self.path.name}"
        values = (f"{name} {value:.4f}" for name, value in engine.state.metrics.items())
        logger.info("epoch %d: %s; %s", engine.state.epoch, ", ".join(values), verdict)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        return {
            "lowest_error": self.lowest_error,
            "validations_since": self.validations_since,
            "weights": self.weights,
            "pets": {part: sorted(hashes) for part, hashes in self.pets.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back, and write the best generator so far where this training writes.

        What is there already is this training's, and the best or a better one.
        """
        self.lowest_error = state["lowest_error"]
        self.validations_since = state["validations_since"]
        self.weights = state["weights"]
        for part, hashes in state["pets"].items():
            self.pets[part] |= set(hashes)
        if self.weights and not self.path.exists():
            self._write()

    def _write(self) -> None:
        save_whole(self.weights, self.path)
        if idist.get_rank() == 0:
            write_model_json(self.path, self.pets)


class ValidateLast:
    """Handler of the trainer: validate at the end where the interval has not just done so.

    Args:
        validator: The evaluator.
        interval: Epochs between validations.
    """

    def __init__(self, validator: Engine, interval: int) -> None:
        self.validator = validator
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Attach to the end of each epoch."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Validate after the last."""
        if engine.state.epoch == engine.state.max_epochs and engine.state.epoch % self.interval:
            self.validator.run(engine.state.epoch)


class StopEarly:
    """Handler of the trainer: stop when validation has not improved for a while.

    Args:
        best: Knows when validation last improved.
        patience: Validations without improvement before stopping.
    """

    def __init__(self, best: KeepBest, patience: int) -> None:
        self.best = best
        self.patience = patience

    def attach(self, engine: Engine) -> None:
        """Attach to the start, for a training that had stopped and is resumed, and each epoch."""
        engine.add_event_handler(Events.STARTED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Stop or go on."""
        if self.best.validations_since >= self.patience:
            logger.info(
                "No improvement in the last %d validations: stopping at epoch %d of %d. A larger "
                "--patience goes on.",
                *(self.best.validations_since, engine.state.epoch, engine.state.max_epochs),
            )
            engine.terminate()


class Checkpoint:
    """Handler of the trainer: write all that a resume needs, and resume from it.

    Args:
        objects: Name → network, optimiser or handler with a state dict.
        path: The checkpoint file, replaced whole at each write.
        interval: Epochs between writes.
        resume_from: A checkpoint to go on from, or None.
    """

    def __init__(
        self, objects: Mapping[str, Any], path: str, interval: int, resume_from: str | None
    ) -> None:
        self.objects = dict(objects)
        self.path = Path(path)
        self.interval = interval
        self.resume_from = resume_from

    def attach(self, engine: Engine) -> None:
        """Attach to the start, and to every ``interval``-th and the last epoch."""
        engine.add_event_handler(Events.STARTED, self.resume)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save_if_due)

    def _save_if_due(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        if epoch % self.interval == 0 or epoch == engine.state.max_epochs:
            self.save(engine)

    def save(self, engine: Engine) -> None:
        """Write the checkpoint."""
        state = {name: _stateful(thing).state_dict() for name, thing in self.objects.items()}
        save_whole({**state, "epoch": engine.state.epoch}, self.path)

    def resume(self, engine: Engine) -> None:
        """Go on from ``resume_from``, if given.

        Raises:
            BadInput: It is not a checkpoint of this training.
        """
        if self.resume_from is None:
            return
        name = shown(self.resume_from)
        state = load_tensors(self.resume_from, "Give the checkpoint.pt that training wrote.")
        if not isinstance(state, dict) or state.keys() != {*self.objects, "epoch"}:
            raise BadInput(
                f"{name} must be a checkpoint of this training and is not. Give the checkpoint.pt "
                "that training wrote beside its model.pt."
            )
        try:
            for key, thing in self.objects.items():
                _stateful(thing).load_state_dict(state[key])
        except (RuntimeError, ValueError, KeyError) as error:
            raise BadInput(
                f"{name} must be of the same networks as this training, and its '{key}' is of "
                "another architecture. Give the options with which it was trained, such as "
                "network_def#channels, or train anew in another --ckpt_dir."
            ) from error
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length
        self._say_where_it_stands(engine.state.epoch, engine.state.max_epochs)

    def _say_where_it_stands(self, epoch: int, max_epochs: int | None) -> None:
        if max_epochs is None or epoch < max_epochs:
            logger.info("Resumed after epoch %d of %s.", epoch, max_epochs)
            return
        logger.info(
            "This training is finished: all its %d epochs are done, and its best weights are in "
            "%s. A larger --max_epochs goes on.",
            *(epoch, self.path.with_name(BEST)),
        )


def _stateful(thing: Any) -> Any:
    return unwrapped(thing) if isinstance(thing, nn.Module) else thing
