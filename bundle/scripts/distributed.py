"""What the multi-GPU overlay needs beside torchrun."""

import os

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def local_device(backend: str) -> torch.device:
    """Return this process's device: its own GPU for ``nccl``, else the CPU."""
    if backend != "nccl":
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def parallel(network: nn.Module, device: torch.device) -> DistributedDataParallel:
    """Put a network on the device and keep its gradients in step with the others'."""
    # Broadcast buffers would be written between the discriminator's two forward passes.
    return DistributedDataParallel(
        network.to(device),
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,
    )


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside ``DistributedDataParallel``, or the network itself."""
    return network.module if isinstance(network, DistributedDataParallel) else network
