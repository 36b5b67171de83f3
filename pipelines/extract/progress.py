"""Showing a run while it goes on: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import IO, Protocol

from pipelines.extract.monitor import Snapshot


class Progress(Protocol):
    """Anything that wants to know how a run goes: called about twice a second."""

    def __call__(self, snapshot: Snapshot) -> None: ...


def describe(snapshot: Snapshot) -> str:
    """One line on a run: clips, rate, time left, failures."""
    text = f"{snapshot.clips_done + snapshot.clips_skipped} clips"
    if snapshot.sources_planned < snapshot.sources:
        text += f", {snapshot.sources_planned} of {snapshot.sources} videos searched"
    else:
        text += f" of {snapshot.clips_planned}"
    if snapshot.clips_per_second:
        text += f", {snapshot.clips_per_second:.2f} clips/s"
    if snapshot.eta is not None:
        text += f", {clock(snapshot.eta)} left"
    if snapshot.failures:
        text += f", {snapshot.failures} failed"
    return text


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03, or 2:03."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"


class LogProgress:
    """Plain lines every few seconds, for logs and pipes."""

    def __init__(self, stream: IO[str] | None = None, every: float = 10.0) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._every = every
        self._last = time.monotonic()

    def __call__(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            print(describe(snapshot), file=self._stream, flush=True)

    def __enter__(self) -> LogProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to put back."""


class BarProgress:
    """A progress bar on the terminal's last line."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting the trackers", total=None)

    def __call__(self, snapshot: Snapshot) -> None:
        done = snapshot.clips_done + snapshot.clips_skipped
        eta, rate = snapshot.eta, snapshot.clips_per_second
        total = None if eta is None else done + eta * rate
        self._bar.update(self._task, description=describe(snapshot), completed=done, total=total)

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def default_progress() -> BarProgress | LogProgress:
    """A bar where standard error is a terminal, plain lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() else LogProgress()
