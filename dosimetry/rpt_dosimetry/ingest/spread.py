"""Spread cycles over the cores of this machine, or over the workers of a Dask cluster."""

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from typing import TypeVar

from rpt_cohort import BadInput
from rpt_cohort.command import in_parallel

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    description: str,
    workers: int | None,
    dask: str | None,
) -> list[Result]:
    """Apply ``function`` to every item.

    Args:
        function: Of one item; must be picklable, as items and results must.
        items: What to work on.
        description: Of the progress bar.
        workers: Processes on this machine; by default one for each core.
        dask: Address of a Dask scheduler, whose workers see the same files; ``None`` for this
            machine.

    Returns:
        The results, in the order of the items.

    Raises:
        BadInput: Dask is not installed, or the scheduler does not answer.
        BrokenProcessPool: A process was ended from outside.
    """
    if dask is None:
        return in_parallel(function, items, description=description, workers=workers)
    try:
        distributed = import_module("dask.distributed")
    except ImportError as error:
        raise BadInput(
            "--dask needs Dask, and it is not installed. Run: pip install 'dask[distributed]'."
        ) from error
    try:
        client = distributed.Client(dask)
    except (OSError, ValueError) as error:
        raise BadInput(
            "--dask must be the address of a running scheduler, such as tcp://HOST:8786, and "
            "none answers there."
        ) from error
    with client:
        # Not pure: what is in the files does not show in the arguments.
        try:
            return list(client.gather(client.map(function, items, pure=False)))
        except distributed.KilledWorker as error:
            raise BrokenProcessPool("a Dask worker was ended") from error
