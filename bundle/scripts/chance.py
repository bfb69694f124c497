"""Chance in training: what is drawn hangs on seed, epoch and case alone.

So a training that was killed goes on with the patches that it would have drawn, and a step of
several processes is that of one, without a random state to be kept: not of Python, numpy, torch,
or of the processes that cut patches.
"""

import math
from collections.abc import Sequence

import ignite.distributed as idist
import numpy as np
from monai.utils import set_determinism
from torch.utils.data.distributed import DistributedSampler


def seed_of(*numbers: int) -> int:
    """Return a seed, 0 … 2³² − 1, for such numbers as seed, epoch and case."""
    words = np.random.SeedSequence([number % 2**32 for number in numbers]).generate_state(1)
    return int(words[0])


class EpochSampler(DistributedSampler[int]):
    """The order of the cases in an epoch, filled up to whole batches, and a process's share.

    MONAI's trainer calls ``set_epoch``, as of any distributed sampler.

    Args:
        dataset: A ``TrainingDataset``, which is told the epoch.
        batch_cases: Cases per batch, over all processes.
        seed: A whole number.
    """

    def __init__(self, dataset: Sequence[int], batch_cases: int, seed: int) -> None:
        processes, process = idist.get_world_size(), idist.get_rank()
        super().__init__(dataset, num_replicas=processes, rank=process, seed=seed)  # type: ignore[arg-type]
        self.total_size = math.ceil(len(dataset) / batch_cases) * batch_cases
        self.num_samples = self.total_size // processes

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: its order, its patches, and whatever else draws, such as drop-out."""
        super().set_epoch(epoch)
        set_determinism(seed_of(self.seed, epoch, self.rank))
        self.dataset.epoch_seed = seed_of(self.seed, epoch)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, int]:
        """Return what a resume needs."""
        return {"seed": self.seed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on with the seed that the training began with."""
        self.seed = state["seed"]
