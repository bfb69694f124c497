"""What the multi-GPU overlays need beside torchrun; in one process nothing happens."""

import os

import ignite.distributed as idist
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from scripts.errors import BadInput


def local_device(backend: str) -> torch.device:
    """Return this process's device: its own GPU for ``nccl``, else the CPU."""
    if backend != "nccl":
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def parallel(network: nn.Module, device: torch.device) -> DistributedDataParallel:
    """Put a network on the device and keep its gradients in step with the others'."""
    if device.type == "cuda":  # batch norm over all patches of a step; torch has none for CPUs
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    network = network.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    # Broadcast buffers would be written between the discriminator's two forward passes.
    return DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,
    )


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside ``DistributedDataParallel`` or ``torch.compile``, or itself."""
    network = getattr(network, "_orig_mod", network)
    return network.module if isinstance(network, DistributedDataParallel) else network


def share(batch_cases: int) -> int:
    """Return how many of a batch's cases this process takes.

    Raises:
        BadInput: The batch cannot be shared out evenly.
    """
    processes: int = idist.get_world_size()
    if batch_cases % processes:
        raise BadInput(
            f"batch_cases must be a multiple of the {processes} processes, so that each step is "
            f"that of one process, got {batch_cases}. Give --batch_cases {processes}."
        )
    return batch_cases // processes


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes, without a gradient."""
    processes: int = idist.get_world_size()
    if processes == 1:
        return values.detach()
    total: Tensor = idist.all_reduce(values.detach().clone())
    return total / processes
