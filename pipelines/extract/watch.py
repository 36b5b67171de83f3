"""Watching over a run from the driver: progress, Ctrl-C, and why it ended."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from pipelines.extract.errors import ClusterLostError
from pipelines.extract.monitor import Snapshot
from pipelines.extract.observe import RunWatch

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
    monitor: Any, watch: RunWatch, interrupted: threading.Event, fleet: str
) -> Iterator[None]:
    """Looks at a run from another thread: tells those who watch it, passes Ctrl-C on.

    fleet: the name under which its coordinators know the run. It is stopped when another cluster
    answers in the place of its own.
    """
    import ray

    from pipelines.extract.cluster import is_attached
    from pipelines.extract.line import request_stop

    over = threading.Event()

    def look(timeout: float) -> bool:
        """Whether the monitor is still there."""
        try:
            watch.see(*ray.get(monitor.poll.remote(watch.number), timeout=timeout))
        except ray.exceptions.GetTimeoutError:
            if is_attached() is False:
                request_stop(fleet)
                return False
            # Else the cluster is busy; show the next one.
        except (ray.exceptions.RayError, ConnectionError):
            return False  # it is gone, and the run with it
        except Exception:  # of no class of its own, from a Ray Client that was cut off
            if ray.is_initialized():
                raise
            return False
        return True

    def poll() -> None:
        stopped = False
        while not over.wait(_POLL_SECONDS):
            if interrupted.is_set() and not stopped:
                stopped = True
                request_stop(fleet)
                monitor.stop.remote("stopped by Ctrl-C")
            if not look(timeout=10):
                return
        look(timeout=10)  # what happened since the last time

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
    """What the run's monitor was told. Raises ClusterLostError where it does not answer."""
    import ray

    from pipelines.extract.cluster import is_attached

    cause: Exception | None = None
    if is_attached() is not False:
        try:
            reason: str | None = ray.get(monitor.why_stopped.remote(), timeout=60)
            return reason
        except (ray.exceptions.RayError, ConnectionError) as error:
            cause = error
    raise ClusterLostError(
        "the Ray cluster is gone: start it and run again to go on, what is committed is kept"
    ) from cause
