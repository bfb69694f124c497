"""Spread a room's cycles over the cores of one machine."""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import closing
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from threading import Thread
from typing import TypeVar

from rpt_cohort.command import listen, progress, progress_bar
from rpt_cohort.errors import BadInput

Item = TypeVar("Item")
Result = TypeVar("Result")
Shares = SimpleQueue[tuple[int, float]]
"""Number of an item, and the share of it that is done."""

LOOK_S = 0.2
"""How often the bar is moved by what workers tell."""
LEAST_SHARE = 0.01
"""What a worker has done before it tells again."""


def in_parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    description: str,
    workers: int | None = None,
) -> list[Result]:
    """Apply ``function`` to every item in processes of their own, under a progress bar.

    The bar moves by what ``function`` tells through ``rpt_cohort.command.tell_done``, too.

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
    context = get_context("spawn")
    shares: Shares = context.SimpleQueue()
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin_worker, initargs=(shares,)
    )
    try:
        futures = [pool.submit(_numbered, function, at, item) for at, item in enumerate(items)]
        with progress_bar(description, total=len(items)) as move:
            _show_until_done(futures, shares, move)
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _show_until_done(
    futures: Sequence[Future[Result]], shares: Shares, move: Callable[[float], None]
) -> None:
    """Move the bar until all items are done or one has failed, which is raised."""
    number = {future: at for at, future in enumerate(futures)}
    done = [0.0] * len(futures)
    waiting = set(futures)
    while waiting:
        ended, waiting = wait_for(waiting, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        while not shares.empty():
            at, share = shares.get()
            done[at] = max(done[at], share)
        for future in ended:
            future.result()
            done[number[future]] = 1.0
        move(sum(done))


def _numbered(function: Callable[[Item], Result], number: int, item: Item) -> Result:
    global _number, _told
    _number, _told = number, 0.0
    return function(item)


_number, _told = 0, 0.0
"""In a worker: its item, and what it told of it last."""


def _pass_on(shares: Shares, share: float) -> None:
    global _told
    if share >= _told + LEAST_SHARE:
        _told = share
        shares.put((_number, share))


def _begin_worker(shares: Shares) -> None:
    """Leave interrupts to the parent, which drops what waits, and end where it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listen(partial(_pass_on, shares))
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that is terminated or killed cannot tell its workers; its sentinel does, which the
    # system makes ready when the parent is gone.
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
