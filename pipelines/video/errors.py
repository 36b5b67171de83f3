"""The errors of this package: a video that cannot be used, and inputs that name none."""

from __future__ import annotations

from typing import Literal

Stage = Literal["open", "plan", "decode", "write"]


def one_line(text: object) -> str:
    """`text` with every run of white space turned into one space."""
    return " ".join(str(text).split())


class VideoError(ValueError):
    """One video, or one clip of it, cannot be used; everything else can go on.

    `source` is the path or URL, `stage` where it broke ("open", "plan", "decode"; "write"
    for one that cannot be written) and `message`
    the cause with its remedy. `transient` is True when the file store failed rather than the file,
    so that another attempt may succeed. `str()` is a single line that starts with the source.
    """

    def __init__(self, source: str, stage: Stage, message: str, *, transient: bool = False) -> None:
        self.source = source
        self.stage: Stage = stage
        self.message = one_line(message)
        self.transient = transient
        super().__init__(f"{one_line(source)}: {self.message}")

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.source, self.stage, self.message, self.transient)


def _restore(source: str, stage: Stage, message: str, transient: bool) -> VideoError:
    return VideoError(source, stage, message, transient=transient)


class SourceError(ValueError):
    """The inputs name no video at all, or a manifest cannot be read. `str()` is a single line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))
