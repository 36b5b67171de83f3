"""A tracker whose answer is known: every point moves along a line given by the clip's first pixel.

Its factory is sent to Ray by value (`ship`), since workers cannot import the tests.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from dataclasses import dataclass

import numpy as np
from ray import cloudpickle


@dataclass
class StubResult:
    tracks: np.ndarray
    occlusion: np.ndarray
    uncertainty: np.ndarray
    visible: np.ndarray


def brightness(video: np.ndarray) -> float:
    """Mean of the first frame, which the test videos choose."""
    return float(video[0].mean())


def expected_tracks(video: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """float32 [N, T, 2]: from the query point on, a shift of brightness/256 px a frame."""
    times = np.arange(len(video), dtype=np.float32)[None, :, None]
    velocity = np.float32(brightness(video) / 256) * np.array([1.0, -0.5], np.float32)
    return queries[:, None, [2, 1]] + (times - queries[:, None, :1]) * velocity


def stuck_in_a_library() -> None:
    """A call of C code that does not come back and keeps Python locked."""
    ctypes.PyDLL(None).sleep(3600)


@dataclass
class StubTracker:
    """seconds: how long each clip takes. dies_at, raises_at, lost_at, hangs_at: brightness of clips
    that kill the process, raise an error, give tracks that are not finite, or never end."""

    seconds: float = 0.0
    hangs_at: float | None = None
    dies_at: float | None = None
    raises_at: float | None = None
    lost_at: float | None = None
    weights_digest: str = "stub-1"

    def track(self, video: np.ndarray, queries: np.ndarray) -> StubResult:
        if self.seconds:
            time.sleep(self.seconds)
        level = brightness(video)
        if self.dies_at is not None and abs(level - self.dies_at) < 3:
            os._exit(11)
        if self.hangs_at is not None and abs(level - self.hangs_at) < 3:
            stuck_in_a_library()
        if self.raises_at is not None and abs(level - self.raises_at) < 3:
            raise FloatingPointError("this clip is poison")
        tracks = expected_tracks(video, queries)
        if self.lost_at is not None and abs(level - self.lost_at) < 3:
            tracks[0] = np.nan
        shape = tracks.shape[:2]
        return StubResult(
            tracks,
            np.full(shape, -3.0, np.float32),
            np.full(shape, -2.0, np.float32),
            np.ones(shape, bool),
        )


def ship() -> None:
    """Makes this module travel by value."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
