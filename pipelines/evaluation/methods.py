"""Trackers under one signature: a network, Lucas-Kanade, and none at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.evaluation.baselines import lucas_kanade, stand_still
from pipelines.evaluation.benchmark import TrackerFn, Tracks

if TYPE_CHECKING:
    from models import Tracker, TrackResult

Iterates = Callable[[np.ndarray, np.ndarray], tuple[Tracks, list[Tracks]]]
"""(video, queries) -> final tracks, and every estimate on the way."""


@dataclass(frozen=True)
class Method:
    """A named tracker."""

    name: str
    track: TrackerFn
    iterates: Iterates | None = None  # of a network that refines its tracks


def network_method(name: str, tracker: Tracker) -> Method:
    """A network. Queries that truth puts outside the frame are moved to its border."""

    def track(video: np.ndarray, queries: np.ndarray) -> Tracks:
        return _found(tracker.track(video, _inside(queries, video)))

    def iterates(video: np.ndarray, queries: np.ndarray) -> tuple[Tracks, list[Tracks]]:
        final, on_the_way = tracker.track_iterates(video, _inside(queries, video))
        return _found(final), [_found(result) for result in on_the_way]

    return Method(name, track, iterates)


LUCAS_KANADE = Method("lucas-kanade", lucas_kanade)
STAND_STILL = Method("stand-still", lambda video, queries: stand_still(queries, len(video)))


def _found(result: TrackResult) -> Tracks:
    return result.tracks, ~result.visible


def _inside(queries: np.ndarray, video: np.ndarray) -> np.ndarray:
    """float32 queries (t, y, x) within the video."""
    num_frames, height, width = video.shape[:3]
    return queries.clip(0, (num_frames - 1, height, width)).astype(np.float32)
