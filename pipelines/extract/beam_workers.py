"""Beam workers that are processes of their own beside the driver: noticing that one has died.

Beam's local runner waits for ever for such a worker. The runners of clusters start another one and
have no need of this.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.extract.errors import ExtractError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

Result = TypeVar("Result")

_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 5.0  # for a job that was at its end
# How Beam's thread ends that looks after a worker; nobody else hears of it.
_LAST_WORDS = "Worker subprocess exited with return code"


class WorkerDiedError(ExtractError):
    """A process of Beam's died, and its runner starts no other."""


def are_apart(options: PipelineOptions) -> bool:
    """Whether Beam's local runner works in other processes than this one."""
    from apache_beam.options.pipeline_options import DirectOptions

    return bool(options.view_as(DirectOptions).direct_running_mode == "multi_processing")


def watched(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises, in a thread of its own.

    Raises WorkerDiedError as soon as a worker has died, and leaves the thread alone.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="tapirus-beam", daemon=True)
    with _deaths() as died:
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            if died.is_set():
                thread.join(_GRACE_SECONDS)
                break
    if errors:
        raise errors[0]
    if not results:
        raise WorkerDiedError(
            "a Beam worker was killed, and its runner starts no other: give the same command "
            "again, what is committed is kept"
        )
    return results[0]


@contextlib.contextmanager
def _deaths() -> Iterator[threading.Event]:
    died, before = threading.Event(), threading.excepthook

    def hook(end: Any) -> None:
        if _LAST_WORDS in str(end.exc_value):
            died.set()
        else:
            before(end)

    threading.excepthook = hook
    try:
        yield died
    finally:
        threading.excepthook = before
