"""Watching over a run from the driver: progress, Ctrl-C, and why it ended."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from pipelines.extract.monitor import Snapshot
from pipelines.extract.progress import Progress

_POLL_SECONDS = 0.5


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Sets an event at the first Ctrl-C; the second one interrupts at once.

    An exception thrown into the middle of Beam and Ray would come out as anything.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # signals belong to the main thread
        return

    def handle(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def polling(
    monitor: Any, progress: Progress | None, interrupted: threading.Event, run: str
) -> Iterator[None]:
    """Watches over a run from another thread: shows progress, passes Ctrl-C on."""
    import ray

    from pipelines.extract.line import request_stop

    over = threading.Event()

    def poll() -> None:
        stopped = False
        while not over.wait(_POLL_SECONDS):
            if interrupted.is_set() and not stopped:
                stopped = True
                request_stop(run)
                monitor.stop.remote("stopped by Ctrl-C")
            if progress is not None:
                try:
                    progress(ray.get(monitor.snapshot.remote(), timeout=10))
                except ray.exceptions.GetTimeoutError:
                    continue  # the cluster is busy; show the next one
                except ray.exceptions.RayError:
                    return  # it is gone, and the run with it

    thread = threading.Thread(target=poll, name="tapirus-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def last_snapshot(monitor: Any) -> Snapshot | None:
    import ray

    try:
        snapshot: Snapshot = ray.get(monitor.snapshot.remote(), timeout=60)
        return snapshot
    except (ray.exceptions.RayError, ConnectionError):
        return None  # the dataset is complete; only the times are lost


def why_stopped(monitor: Any) -> str | None:
    import ray

    try:
        reason: str | None = ray.get(monitor.why_stopped.remote(), timeout=60)
        return reason
    except (ray.exceptions.RayError, ConnectionError):
        return "the Ray cluster is gone; run again to go on, what is committed is kept"
