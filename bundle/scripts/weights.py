"""Files of weights: strict and without pickles on the way in, whole on the way out."""

import pickle
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.checks import shown
from scripts.distributed import unwrapped
from scripts.errors import BadInput


def load_generator(network: nn.Module, path: str) -> None:
    """Load a plain state dict into ``network``, every key and shape fitting.

    Raises:
        BadInput: Missing, not a state dict, of another network, or not finite.
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
        if not bool(tensor.isfinite().all()):
            raise BadInput(
                f"{shown(path)} must hold finite weights, and '{key}' holds NaN or infinity. Use "
                "those of another training."
            )
    unwrapped(network).load_state_dict(state)


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
        raise BadInput(
            f"{shown(path)} must be a file of weights, and there is none. {fix} Looked for: {path}"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BadInput(
            f"{shown(path)} must load with weights_only=True, and does not. {fix}"
        ) from error
