"""Trackers without learning, as a floor for comparisons."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_WINDOW = (15, 15)
_LEVELS = 3
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)


def stand_still(
    queries: Float[np.ndarray, "n 3"], num_frames: int
) -> tuple[Float[np.ndarray, "n t 2"], Bool[np.ndarray, "n t"]]:
    """Tracks (x, y) that never leave their query (t, y, x), visible throughout."""
    tracks = np.repeat(queries[:, None, :0:-1], num_frames, axis=1)
    return tracks, np.zeros(tracks.shape[:2], bool)


def lucas_kanade(
    video: UInt8[np.ndarray, "t h w 3"],
    queries: Float[np.ndarray, "n 3"],
    max_return: float = 1.0,
) -> tuple[Float[np.ndarray, "n t 2"], Bool[np.ndarray, "n t"]]:
    """Follow points frame by frame with pyramidal Lucas-Kanade, onwards and back in time.

    A point is lost when the flow back to the last frame misses its start by more than
    `max_return` pixels, or when it leaves the frame; from there on it is occluded and stands
    still. Queries (t, y, x) and tracks (x, y) in pixels with centres at +0.5; t is rounded.
    """
    tracks, occluded = stand_still(queries.astype(np.float32), len(video))
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video]
    starts = np.round(queries[:, 0]).astype(int)
    for step in (1, -1):
        followed = np.zeros(len(queries), bool)
        lost = np.zeros(len(queries), bool)
        frames = range(len(video))[::step]
        for now, after in pairwise(frames):
            followed |= starts == now
            active = followed & ~lost
            if active.any():
                moved, good = _flow(grey[now], grey[after], tracks[active, now], max_return)
                good &= (moved >= 0).all(axis=1) & (moved < grey[now].shape[::-1]).all(axis=1)
                tracks[active, after] = np.where(good[:, None], moved, tracks[active, now])
                lost[active] = ~good
            stuck = followed & lost
            standing = stuck & ~active
            tracks[standing, after] = tracks[standing, now]
            occluded[stuck, after] = True
    return tracks, occluded


def _flow(
    before: np.ndarray, after: np.ndarray, points: np.ndarray, max_return: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions [n, 2] in the next frame, and which of them [n] flow back to their start."""
    start = points.astype(np.float32) - 0.5  # OpenCV counts pixel centres at integers
    moved, found = _lucas_kanade(before, after, start)
    back, found_back = _lucas_kanade(after, before, moved)
    good = found & found_back & (np.linalg.norm(back - start, axis=1) <= max_return)
    return moved + 0.5, good


def _lucas_kanade(
    before: np.ndarray, after: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        points[:, None],
        np.empty_like(points[:, None]),
        winSize=_WINDOW,
        maxLevel=_LEVELS - 1,
        criteria=_STOP,
    )
    return np.asarray(moved)[:, 0], np.asarray(status)[:, 0] == 1
