"""What runs the network: torch, or OpenVINO, which is faster on a CPU.

TensorRT has a handler of MONAI's own: ``configs/inference_trt.yaml``.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from scripts.errors import BadInput

MODULES = {"torch": ["torch"], "openvino": ["openvino"]}
"""Backend → what must be installed."""


class Backend:
    """Handler of the inference evaluator: what runs the network; stands after the weights' loader.

    Args:
        network: The network, whose weights are loaded when the engine starts.
        name: A key of ``MODULES``.

    Raises:
        BadInput: Another name, or one that is not installed.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        if name not in MODULES:
            raise BadInput(f"backend must be one of {', '.join(MODULES)}, got {name!r}.")
        require_modules(MODULES[name], name)
        self.network = network
        self.name = name

    def attach(self, engine: Engine) -> None:
        """Attach to the engine's start."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Put the backend's network into the engine."""
        if self.name == "openvino":
            engine.network = OpenVinoNetwork(self.network)


class OpenVinoNetwork(nn.Module):
    """A network as OpenVINO runs it on the CPU, in single precision, for volumes of any size.

    Args:
        network: A network of (1, 1, x, y, z); its weights are copied.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        openvino = _openvino()
        on_cpu = network.eval().cpu()
        with torch.no_grad():
            model = openvino.convert_model(
                on_cpu,
                example_input=torch.ones(1, 1, 8, 8, 8),
                input=[openvino.PartialShape([1, 1, -1, -1, -1])],
            )
        # Of its own accord it takes bfloat16 where the processor has it, 0.3 % off in organ means.
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        self.compiled = openvino.Core().compile_model(model, "CPU", options)

    def forward(self, suv: Tensor) -> Tensor:
        """Map SUV to absorbed dose as ``DoseGenerator`` does; what cannot be SUV gives NaN."""
        dose = self.compiled(suv.detach().cpu().numpy())[0]
        return torch.from_numpy(dose).to(suv.device)


def require_modules(modules: Sequence[str], backend: str) -> None:
    """See that what a backend needs is installed.

    Raises:
        BadInput: A module that is not.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise BadInput(
            f"{backend} must be installed to be the backend, and {' and '.join(missing)} "
            f"{'are' if missing[1:] else 'is'} missing. Run `pip install {' '.join(missing)}`, or "
            "leave the backend at torch."
        )


def _openvino() -> Any:
    # It reports its use over the network unless its module for that is absent.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module("openvino")
