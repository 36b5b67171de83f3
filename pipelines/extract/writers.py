"""The threads that write: a coordinator's loop hands them work and never waits for storage."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_futures
from typing import Any, TypeVar

Written = TypeVar("Written")

_THREADS = 2


class Writers:
    """Work for storage, and what is to be done in the loop's own thread once it is there."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="tapirus-write")
        self._under_way: dict[Future[Any], Callable[[Any], None]] = {}

    def __len__(self) -> int:
        """How much was submitted and not collected yet."""
        return len(self._under_way)

    def submit(self, work: Callable[[], Written], then: Callable[[Written], None]) -> None:
        """Starts `work` in a thread; `collect` calls `then` with what it returned."""
        self._under_way[self._pool.submit(work)] = then

    def collect(self) -> None:
        """Takes what is done. Raises what the work has raised."""
        for future in [future for future in self._under_way if future.done()]:
            self._under_way.pop(future)(future.result())

    def wait(self, timeout: float) -> None:
        """Waits until something is done, for so many seconds at most."""
        wait_futures(self._under_way, timeout=timeout, return_when=FIRST_COMPLETED)

    def close(self) -> None:
        """Waits for what has begun; what has not is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
