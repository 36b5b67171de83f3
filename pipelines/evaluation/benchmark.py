"""Score a tracker over clips with known tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.evaluation.tapvid import QueryMode, TapVidMetrics, compute_metrics

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

Tracks = tuple["Float[np.ndarray, 'n t 2']", "Bool[np.ndarray, 'n t']"]
# (video, queries) -> (tracks, occluded)
TrackerFn = Callable[["UInt8[np.ndarray, 't h w 3']", "Float[np.ndarray, 'n 3']"], Tracks]

_SCORED_SIZE = 256.0  # thresholds are in pixels of a frame of this size


@dataclass(frozen=True)
class TruthClip:
    """A clip with known tracks, in pixels of `video` with centres at +0.5."""

    video: UInt8[np.ndarray, "t h w 3"]
    queries: Float[np.ndarray, "n 3"]  # (t, y, x)
    tracks: Float[np.ndarray, "n t 2"]  # (x, y)
    occluded: Bool[np.ndarray, "n t"]


@dataclass(frozen=True)
class Metrics:
    """Scores in [0, 1], averaged over clips; lists follow `tapvid.THRESHOLDS`."""

    average_jaccard: float
    average_pts_within: float
    occlusion_accuracy: float
    jaccard: tuple[float, ...]
    pts_within: tuple[float, ...]
    num_clips: int


def evaluate(tracker: TrackerFn, clips: Iterable[TruthClip], query_mode: QueryMode) -> Metrics:
    """Run `tracker` on every clip and average the clips' TAP-Vid scores.

    Positions are scaled to 256x256 before scoring, whatever the size of the clips. Raises
    ValueError if there are no clips.
    """
    scores = [_score(tracker, clip, query_mode) for clip in clips]
    if not scores:
        raise ValueError("nothing to evaluate: no clips were given")
    # A clip without a single point to find has no score for it (NaN).
    jaccard = np.nanmean([score.jaccard[0] for score in scores], axis=0)
    pts_within = np.nanmean([score.pts_within[0] for score in scores], axis=0)
    return Metrics(
        float(jaccard.mean()),
        float(pts_within.mean()),
        float(np.nanmean([score.occlusion_accuracy[0] for score in scores])),
        tuple(jaccard.tolist()),
        tuple(pts_within.tolist()),
        len(scores),
    )


def _score(tracker: TrackerFn, clip: TruthClip, query_mode: QueryMode) -> TapVidMetrics:
    tracks, occluded = tracker(clip.video, clip.queries)
    height, width = clip.video.shape[1:3]
    scale = _SCORED_SIZE / np.array([width, height])
    return compute_metrics(
        clip.queries[None],
        clip.occluded[None],
        (clip.tracks * scale)[None],
        occluded[None],
        (tracks * scale)[None],
        query_mode,
    )
