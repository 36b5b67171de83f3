"""A page to choose from: for each motion its first, middle and last frame and its trajectories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from animate.tracks_file import Motion
from pipelines.render import Panel, contact_sheet, draw_trails

if TYPE_CHECKING:
    from jaxtyping import UInt8

_PANEL = 320  # longer side of a picture
_TRAILS = 400


class SheetRow:
    """Keeps what a row needs of frames that pass by, once."""

    def __init__(self, motion: Motion, title: str) -> None:
        self.motion, self.title = motion, title
        count = len(motion.tracks)
        self.moments = sorted({0, count // 2, count - 1})
        self.kept: dict[int, UInt8[np.ndarray, "h w 3"]] = {}

    def watch(
        self, frames: Iterator[UInt8[np.ndarray, "H W 3"]]
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The same frames, while those that the row shows are kept, small."""
        for number, frame in enumerate(frames):
            if number in self.moments:
                self.kept[number] = _small(frame)
            yield frame

    def panels(self) -> list[Panel]:
        """The row."""
        pictures = [Panel(self.kept[t], f"{self.title}frame {t}") for t in self.moments]
        first = self.kept[0]
        motion = self.motion
        scale = first.shape[1] / motion.photo_size[0]
        points = motion.tracks.reshape(len(motion.tracks), 2, -1).transpose(2, 0, 1) * scale
        seen = motion.visible.reshape(len(motion.visible), -1).T > 0.5
        still = np.repeat(first[None], len(motion.tracks), axis=0)
        trails = draw_trails(still, points, seen, scale=1, max_tracks=_TRAILS)
        return [*pictures, Panel(trails, "trajectories")]


def sheet(rows: list[SheetRow], title: str) -> UInt8[np.ndarray, "h w 3"]:
    """The page."""
    return contact_sheet([row.panels() for row in rows], title=title)


def _small(frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    height, width = frame.shape[:2]
    factor = _PANEL / max(height, width)
    if factor >= 1:
        return frame.copy()
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
