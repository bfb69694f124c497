"""Work on voxels in chunks, so that memory stays bounded and the cores' caches are used."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rpt_kinetics.exponentials import Floats

# Numbers in one temporary array of a chunk: 256 KiB, which a core's own cache holds.
NUMBERS = 2**15


def over_chunks(
    work: Callable[..., Floats],
    arrays: Sequence[Floats],
    *,
    columns: int,
    width: int,
    workers: int,
) -> Floats:
    """Apply ``work`` to slices of arrays of one length and join the results.

    Args:
        work: From slices of shape (c,) each to an array of shape (c, columns).
        arrays: Shape (n,) each.
        columns: Columns of the result.
        width: Columns of the largest temporary array.
        workers: Threads; numpy computes without Python's lock.

    Returns:
        Shape (n, columns).
    """
    count = len(arrays[0])
    result = np.empty((count, columns))
    step = max(1, NUMBERS // max(width, 1))

    def fill(start: int) -> None:
        part = slice(start, start + step)
        result[part] = work(*(array[part] for array in arrays))

    starts = range(0, count, step)
    if workers == 1 or len(starts) < 2:
        for start in starts:
            fill(start)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(fill, starts))
    return result
