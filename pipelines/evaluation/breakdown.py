"""Where a tracker fails: scores by motion, time out of sight, occlusion and texture.

A point here is one track on one scored frame. Points of all clips are pooled, then parted by one
of their properties; each part is scored by itself. Pixels are those of a 256x256 frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.evaluation.benchmark import Tracks, TruthClip, scored_scale
from pipelines.evaluation.tapvid import (
    QueryMode,
    TapVidMetrics,
    evaluated_frames,
    score_points,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_TEXTURE_WINDOW = 15  # pixels; what pyramidal Lucas-Kanade looks at on its finest level


@dataclass(frozen=True, eq=False)
class Points:
    """Scored points and what may make them hard."""

    gt_occluded: Bool[np.ndarray, " p"]
    pred_occluded: Bool[np.ndarray, " p"]
    errors: Float[np.ndarray, " p"]  # pixels
    motion: Float[np.ndarray, " p"]  # of the track, pixels per frame
    since_seen: Float[np.ndarray, " p"]  # frames
    hidden_share: Float[np.ndarray, " p"]  # of the track
    texture: Float[np.ndarray, " p"]  # at the query


@dataclass(frozen=True)
class Factor:
    """A property of points, and the upper ends of the ranges that its table has."""

    name: str  # of a field of Points
    title: str
    edges: tuple[float, ...]  # the ends belong to their ranges; one more range lies above


FACTORS = (
    Factor("motion", "mean motion, px/frame", (0.5, 1, 2, 4, 8)),
    Factor("since_seen", "frames since last seen", (1, 4, 8, 16)),
    Factor("hidden_share", "share of the track that is hidden", (0, 0.25, 0.5)),
    Factor("texture", "texture at the query, grey levels/px", (1, 2, 4, 8)),
)


@dataclass(frozen=True)
class Part:
    """The points of one range and their scores."""

    above: float  # minus infinity for the first
    up_to: float  # infinity for the last
    num_points: int
    scores: TapVidMetrics


def collect_points(clip: TruthClip, found: Tracks, mode: QueryMode) -> Points:
    """Every scored point of a clip that a tracker has been through."""
    scale = scored_scale(clip)
    truth = clip.tracks.astype(np.float64) * scale
    asked = np.round(clip.queries[:, 0]).astype(int)
    seen = ~clip.occluded if clip.scored is None else ~clip.occluded & clip.scored
    evaluated = evaluated_frames(asked, truth.shape[1], mode)
    if clip.scored is not None:
        evaluated = evaluated & clip.scored
    hidden = hidden_share(clip.occluded, evaluated)
    motion = mean_motion(truth, seen)
    texture = texture_at(clip.video, clip.queries)

    def spread(per_track: np.ndarray) -> np.ndarray:
        return np.broadcast_to(per_track[:, None], evaluated.shape)[evaluated]

    return Points(
        clip.occluded[evaluated],
        found[1][evaluated],
        np.linalg.norm(found[0] * scale - truth, axis=-1)[evaluated],
        spread(motion),
        frames_since_seen(seen, asked)[evaluated].astype(np.float64),
        spread(hidden),
        spread(texture),
    )


def pool(clips: Sequence[Points]) -> Points:
    """The points of several clips as one. Raises ValueError if there are no clips."""
    return Points(*(np.concatenate([getattr(c, f.name) for c in clips]) for f in fields(Points)))


def parts(points: Points, factor: Factor) -> list[Part]:
    """Scores by ranges of a factor."""
    values = getattr(points, factor.name)
    found = []
    for above, up_to in pairwise((-np.inf, *factor.edges, np.inf)):
        inside = (values > above) & (values <= up_to)
        scores = score_points(
            points.gt_occluded[inside], points.pred_occluded[inside], points.errors[inside]
        )
        found.append(Part(above, up_to, int(inside.sum()), scores))
    return found


def mean_motion(
    tracks: Float[np.ndarray, "n t 2"], seen: Bool[np.ndarray, "n t"]
) -> Float[np.ndarray, " n"]:
    """Path length from sighting to sighting over the frames between, in pixels per frame.

    0 for a track that is seen once.
    """
    speeds = np.zeros(len(tracks))
    for row, (track, visible) in enumerate(zip(tracks, seen, strict=True)):
        frames = np.flatnonzero(visible)
        if len(frames) > 1:
            steps = np.linalg.norm(np.diff(track[frames], axis=0), axis=-1)
            speeds[row] = steps.sum() / (frames[-1] - frames[0])
    return speeds


def frames_since_seen(
    seen: Bool[np.ndarray, "n t"], query_frames: np.ndarray
) -> Float[np.ndarray, "n t"]:
    """Frames from the last sighting on the way from the query, in both directions of time.

    1 where the point was seen on the frame before; 0 on the query's frame.
    """
    num_tracks, num_frames = seen.shape
    since = np.zeros((num_tracks, num_frames), int)
    rows = np.arange(num_tracks)
    for step in (1, -1):
        last = np.asarray(query_frames).copy()
        frame = last + step
        while ((frame >= 0) & (frame < num_frames)).any():
            inside = (frame >= 0) & (frame < num_frames)
            at = frame.clip(0, num_frames - 1)
            since[rows[inside], at[inside]] = np.abs(frame - last)[inside]
            last = np.where(inside & seen[rows, at], frame, last)
            frame = frame + step
    return since


def hidden_share(
    occluded: Bool[np.ndarray, "n t"], evaluated: Bool[np.ndarray, "n t"]
) -> Float[np.ndarray, " n"]:
    """Share of a track's evaluated frames on which it is hidden; 0 where there are none."""
    return (occluded & evaluated).sum(axis=1) / np.maximum(evaluated.sum(axis=1), 1)


def texture_at(
    video: UInt8[np.ndarray, "t h w 3"], queries: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, " n"]:
    """Root mean square slope around each query in the direction where the picture changes least.

    Grey levels per pixel over 15x15 pixels: near 0 on flat regions and along straight edges, where
    a point cannot be told from its neighbours.
    """
    weakest = np.zeros(len(queries))
    frames = np.round(queries[:, 0]).astype(int)
    cells = np.floor(queries[:, :0:-1]).astype(int).clip(0, np.array(video.shape[2:0:-1]) - 1)
    for frame in np.unique(frames):
        grey = cv2.cvtColor(video[frame], cv2.COLOR_RGB2GRAY).astype(np.float64)
        down, across = np.gradient(grey)
        a, b, c = (
            cv2.blur(product, (_TEXTURE_WINDOW, _TEXTURE_WINDOW))
            for product in (across * across, across * down, down * down)
        )
        smaller = (a + c) / 2 - np.hypot((a - c) / 2, b)
        own = frames == frame
        x, y = cells[own].T
        weakest[own] = np.sqrt(np.maximum(smaller[y, x], 0))
    return weakest
