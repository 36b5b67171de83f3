"""Which clips of a dataset are trained on, and which are held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

PARTS = ("train", "validation")

DEFAULT_CONDITION = (
    "num_tracks > 0 "  # nothing was tracked
    "AND visible_fraction >= 0.4 "  # points vanish: a dissolve, or a cut that was missed
    "AND mean_uncertainty <= 0.5 "  # the tracker guesses: water, flat walls, the dark
    "AND p90_displacement >= 0.008 * width"  # stills and screens of text: 2 px of 256
)
"""SQL condition on the table `clips` that leaves out what teaches no motion."""


@dataclass(frozen=True)
class DataConfig:
    """The clips that are used, and how they are divided.

    Clips are divided by source video, so that no scene is in both parts: sources whose file names
    agree up to ``separator`` are segments of one video.
    """

    where: str = DEFAULT_CONDITION
    """SQL condition on the table `clips`."""
    validation_fraction: float = 0.1
    """Share of the source videos that are held out."""
    separator: str = "__"
    """In the stem of a file's name; what follows it numbers the segment."""
    buffer_clips: int = 256
    """Clips that are shuffled together; memory of a reader grows with it."""

    def __post_init__(self) -> None:
        if not self.where.strip():
            raise ValueError('data.where is empty: write "true" to use all clips')
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                f"data.validation_fraction is {self.validation_fraction}: must lie in 0 to 1"
            )
        if not self.separator:
            raise ValueError("data.separator is empty: give a text that no name has, to not divide")
        if self.buffer_clips < 1:
            raise ValueError(f"data.buffer_clips is {self.buffer_clips}: must be at least 1")

    def part_of(self, source: str) -> str:
        """ "train" or "validation": a function of the video's name alone, the same everywhere."""
        digest = hashlib.blake2b(video_name(source, self.separator).encode(), digest_size=8)
        share = int.from_bytes(digest.digest(), "big") / 2**64
        return PARTS[1] if share < self.validation_fraction else PARTS[0]


def video_name(source: str, separator: str) -> str:
    """Name of the video that a source, path or URL, is a segment of."""
    path = unquote(urlsplit(source).path) if "://" in source else source
    return PurePosixPath(path.replace("\\", "/")).stem.split(separator)[0]
