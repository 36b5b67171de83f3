"""What a download shows where nobody asked for anything else: one line on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

Progress = Callable[[int, int | None], None]
"""Called with bytes so far and bytes in total, None while the server has not said."""


def megabytes(size: int | None) -> str:
    return "unknown size" if size is None else f"{size / 1e6:.1f} MB"


class ProgressLine:
    """A line rewritten in place a few times a second; silent where there is no terminal."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._next = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        finished = done == total
        if not self._stream.isatty() or (now < self._next and not finished):
            return
        self._next = now + 0.2
        bar = ""
        if total:
            filled = 24 * done // total
            bar = f" [{'#' * filled}{'.' * (24 - filled)}] {100 * done // total:3d} %"
        end = "\n" if finished else ""
        line = f"\r{self._label}{bar} {megabytes(done)} of {megabytes(total)}{end}"
        self._stream.write(line)
        self._stream.flush()
