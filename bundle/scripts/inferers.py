"""Large volumes: windows that give the map of one pass over the whole volume."""

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from scripts.errors import BadInput

logger = logging.getLogger(__name__)

GB = 1e9
FREE_PART = 0.75  # ours: of free memory, the rest is for the volume's own copies
UNKNOWN_FREE_GB = 2.0  # ours: where the system does not tell
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""What torch's errors say; on a CPU they are plain ``RuntimeError``s."""


class TiledInferer(Inferer):
    """Predict tile by tile, each with a halo around it, in bounded memory.

    A voxel's dose looks ``halo`` voxels far. A window that holds these, and begins where the
    network's strides begin on the whole volume, gives the whole volume's values inside the
    halo; at the volume's borders there is none, so that the network sees its ends.

    Args:
        halo: Half the receptive field, voxels, a multiple of ``divisor``.
        divisor: The product of the network's strides, voxels.
        bytes_per_voxel: What a pass takes for each voxel of a window.
        memory_gb: GB that one pass may take; None for most of what is free.
    """

    def __init__(
        self, halo: int, divisor: int, bytes_per_voxel: float, memory_gb: float | None = None
    ) -> None:
        super().__init__()
        self.halo = halo
        self.divisor = divisor
        self.bytes_per_voxel = bytes_per_voxel
        self.memory_gb = memory_gb

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return the network's map of ``inputs``, (1, channels, x, y, z).

        Raises:
            BadInput: The memory does not hold the smallest window.
        """
        memory_gb = self.memory_gb or FREE_PART * free_gb(inputs.device)
        while True:
            tile = self.tile_for(inputs.shape[2:], memory_gb)
            try:
                return self._predict(inputs, network, tile, *args, **kwargs)
            except (MemoryError, RuntimeError) as error:  # which CUDA's is, too
                if not is_out_of_memory(error):
                    raise
            memory_gb = self._window_gb(tile, inputs.shape[2:]) / 2
            logger.warning("Out of memory; going on in windows of at most %.2g GB.", memory_gb)

    def tile_for(self, shape: Sequence[int], memory_gb: float) -> list[int]:
        """Return the size of the tiles that windows within ``memory_gb`` leave, voxels.

        Raises:
            BadInput: The memory does not hold the smallest window.
        """
        tile = list(shape)
        while self._window_gb(tile, shape) > memory_gb:
            longest = tile.index(max(tile))
            if tile[longest] <= self.divisor:
                raise BadInput(
                    f"Memory must hold one window, {self._window_gb(tile, shape):.2g} GB, and "
                    f"{memory_gb:.2g} GB are to be had. Free some, raise --memory_gb, or use "
                    "inference.yaml alone with --roi_size '[32,32,32]', whose map is another."
                )
            tile[longest] = -(-tile[longest] // (2 * self.divisor)) * self.divisor
        return tile

    def _window_gb(self, tile: Sequence[int], shape: Sequence[int]) -> float:
        voxels = 1
        for size, whole in zip(tile, shape, strict=True):
            voxels *= min(size + 2 * self.halo, whole)
        return voxels * self.bytes_per_voxel / GB

    def _predict(
        self, inputs: Tensor, network: nn.Module, tile: Sequence[int], *args: Any, **kwargs: Any
    ) -> Tensor:
        size, halo = torch.tensor(tile), self.halo
        whole = torch.tensor(inputs.shape[2:])
        output = torch.empty_like(inputs)
        for corner in itertools.product(*map(range, [0] * 3, inputs.shape[2:], tile)):
            start = torch.tensor(corner)
            stop = torch.minimum(start + size, whole)
            first, last = (start - halo).clamp(min=0), torch.minimum(stop + halo, whole)
            dose = network(inputs[_box(first, last)].contiguous(), *args, **kwargs)
            output[_box(start, stop)] = dose[_box(start - first, stop - first)]
        return output


def _box(start: Tensor, stop: Tensor) -> tuple[slice, ...]:
    """Return the index of a box in (batch, channels, x, y, z)."""
    return (slice(None), slice(None), *map(slice, start.tolist(), stop.tolist()))


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is that a device has no memory left."""
    return any(words in str(error) for words in OUT_OF_MEMORY)


def free_gb(device: torch.device) -> float:
    """Return the memory, GB, that can be had on a device."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + unused) / GB
    system = Path("/proc/meminfo")
    if not system.is_file():
        return UNKNOWN_FREE_GB
    lines = (line.split() for line in system.read_text(encoding="ascii").splitlines())
    free_bytes = next(float(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:")
    group = Path("/sys/fs/cgroup")  # a container's own limit
    try:
        limit = (group / "memory.max").read_text(encoding="ascii")
        used = (group / "memory.current").read_text(encoding="ascii")
        return min(free_bytes, float(limit) - float(used)) / GB
    except (OSError, ValueError):  # no such limit, or "max"
        return free_bytes / GB
