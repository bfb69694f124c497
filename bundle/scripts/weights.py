"""Weights in and out: strict and without pickles on the way in, the best only on the way out."""

import hashlib
import logging
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from scripts.checks import shown
from scripts.distributed import unwrapped
from scripts.errors import BadInput

logger = logging.getLogger(__name__)


def load_generator(network: nn.Module, path: str) -> None:
    """Load a plain state dict into ``network``, every key and shape fitting.

    Raises:
        BadInput: Missing, not a state dict, or of another network.
    """
    state = load_tensors(path, "Train with train.yaml, or give --weights_path a model.pt.")
    wanted = unwrapped(network).state_dict()
    if not isinstance(state, dict) or state.keys() != wanted.keys():
        raise BadInput(
            f"{shown(path)} must hold this generator's {len(wanted)} tensors and holds others. Use "
            "the model.pt of this network_def, not a checkpoint of the whole training."
        )
    for key, tensor in state.items():
        if tensor.shape != wanted[key].shape:
            raise BadInput(
                f"{shown(path)} must hold '{key}' of shape {tuple(wanted[key].shape)}, got "
                f"{tuple(tensor.shape)}. Use the channels with which it was trained."
            )
    unwrapped(network).load_state_dict(state)


def file_sha256(path: str) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class GeneratorCheckpointLoader:
    """Handler: load the generator's weights when the engine starts.

    Its name ends as MONAI's does, by which the federated client finds and disables it.

    Args:
        network: The generator.
        path: Its ``model.pt``.
    """

    def __init__(self, network: nn.Module, path: str) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Attach to the engine's start."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load."""
        load_generator(self.network, self.path)


class KeepBest:
    """Handler of the evaluator: write the generator whenever its error is the lowest so far.

    It rides in the resumable checkpoint, so that after a resume a worse generator does
    not replace a better one.

    Args:
        network: The generator.
        path: Where its plain state dict goes.
        metric: Name of the evaluator's metric, an error: lower is better.
    """

    def __init__(self, network: nn.Module, path: str, metric: str) -> None:
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
        if error < self.lowest_error:
            self.lowest_error, self.validations_since = error, 0
            state = unwrapped(self.network).state_dict()
            self.weights = {key: tensor.detach().cpu().clone() for key, tensor in state.items()}
            save_whole(self.weights, self.path)
            logger.info("lowest %s so far, %.4f: kept in %s", self.metric, error, self.path.name)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        return {
            "lowest_error": self.lowest_error,
            "validations_since": self.validations_since,
            "weights": self.weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back, and write the best generator so far where this training writes."""
        self.lowest_error = state["lowest_error"]
        self.validations_since = state["validations_since"]
        self.weights = state["weights"]
        if self.weights:
            save_whole(self.weights, self.path)


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
        """Attach to the end of the training."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Validate."""
        if engine.state.epoch % self.interval:
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
        """Attach to the end of each epoch."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Stop or go on."""
        if self.best.validations_since >= self.patience:
            logger.info("no improvement in %d validations: stopping", self.patience)
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
        """Attach to the start, to every ``interval``-th epoch and to the end."""
        engine.add_event_handler(Events.STARTED, self.resume)
        engine.add_event_handler(Events.COMPLETED, self.save)
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self.save)

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
                f"{name} must be of the same networks as this training, and '{key}' differs."
            ) from error
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length


def save_whole(content: Any, path: Path) -> None:
    """Write with ``torch.save`` beside ``path``, then rename; of many processes, the first."""
    if idist.get_rank() > 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    torch.save(content, partial)
    partial.replace(path)


def load_tensors(path: str, fix: str) -> Any:
    """Load a file of tensors without running any code in it.

    Raises:
        BadInput: Missing, or not loadable with ``weights_only=True``.
    """
    if not Path(path).is_file():
        raise BadInput(f"{shown(path)} must be a file of weights, and there is none. {fix}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BadInput(
            f"{shown(path)} must load with weights_only=True, and does not. {fix}"
        ) from error


def _stateful(thing: Any) -> Any:
    return unwrapped(thing) if isinstance(thing, nn.Module) else thing
