"""Processes that share work between the cores, and end with whoever started them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process

from lab.errors import LabError


@contextmanager
def worker_pool() -> Iterator[ProcessPoolExecutor]:
    """Give a pool with a process a core; if its user fails or is interrupted, all are ended.

    Raises:
        LabError: a process was ended from outside.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, initializer=_begin_worker) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise LabError(
                "a process that simulated a case was ended",
                remedy="perhaps memory ran out: let fewer nodes or shorter cases run",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                worker.terminate()
            raise


def _begin_worker() -> None:
    """Ctrl-C reaches the workers too, but it is their parent who ends them, or whose end does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
