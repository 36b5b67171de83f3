"""The one error of this package."""

from __future__ import annotations


class CheckpointError(ValueError):
    """Weights are missing, damaged, hostile or of another network: one line, with the remedy."""


def one_line(error: BaseException, limit: int = 160) -> str:
    """The first line of what a library said, short enough to sit inside a message."""
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0]
    return line if len(line) <= limit else line[: limit - 1] + "…"
