"""Spread a room's cycles over the cores of one machine."""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import TypeVar

from rpt_cohort.command import progress
from rpt_cohort.errors import BadInput

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    description: str,
    workers: int | None = None,
) -> list[Result]:
    """Apply ``function`` to every item in processes of their own, under a progress bar.

    Args:
        function: Of one item; must be picklable, as items and results must.
        items: What to work on.
        description: Of the progress bar.
        workers: Processes; by default one for each core. With 1, or one item, the work is
            done here.

    Returns:
        The results, in the order of the items.

    Raises:
        BadInput: ``workers`` is below 1. Whatever ``function`` raises goes on to the
            caller; items that have not begun are dropped.
    """
    if workers is not None and workers < 1:
        raise BadInput(f"workers must be 1 or above, got {workers}.")
    processes = min(workers or os.cpu_count() or 1, len(items))
    if processes <= 1:
        with closing(progress(items, description)) as shown:
            return [function(item) for item in shown]
    # Not forked: a fork of a process with threads (torch's, say) can wait for ever.
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_begin_worker
    )
    try:
        futures = [pool.submit(function, item) for item in items]
        with closing(progress(futures, description)) as shown:
            return [future.result() for future in shown]
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """Leave interrupts to the parent, which drops what waits, and end where it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that is terminated or killed cannot tell its workers; its sentinel does, which the
    # system makes ready when the parent is gone.
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
