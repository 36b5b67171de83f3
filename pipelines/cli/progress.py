"""A progress bar with rate and time left, for work in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Tell how much is done, of how much if that is known."""

    def __call__(self, done: int, total: int | None) -> None: ...


@contextmanager
def progress_bar(label: str, unit: str) -> Iterator[Advance]:
    """A bar on standard error while that is a terminal, else nothing."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None, rate="")

        def advance(done: int, total: int | None) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:.0f}/s" if speed and speed >= 1 else ""
            if speed and speed < 1:
                rate = f"{1 / speed:.1f} s each"
            bar.update(task, completed=done, total=total, rate=rate)

        yield advance
