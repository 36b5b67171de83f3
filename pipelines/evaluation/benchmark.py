"""Score a tracker over clips with known tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.evaluation.tapvid import QueryMode, TapVidMetrics, compute_metrics

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

Tracks = tuple["Float[np.ndarray, 'n t 2']", "Bool[np.ndarray, 'n t']"]
# (video, queries) -> (tracks, occluded)
TrackerFn = Callable[["UInt8[np.ndarray, 't h w 3']", "Float[np.ndarray, 'n 3']"], Tracks]

SCORED_SIZE = 256
"""Thresholds are in pixels of a frame of this height and width."""


@dataclass(frozen=True)
class TruthClip:
    """A clip with known tracks, in pixels of `video` with centres at +0.5."""

    video: UInt8[np.ndarray, "t h w 3"]
    queries: Float[np.ndarray, "n 3"]  # (t, y, x)
    tracks: Float[np.ndarray, "n t 2"]  # (x, y); anything where not scored
    occluded: Bool[np.ndarray, "n t"]
    scored: Bool[np.ndarray, "n t"] | None = None  # where the truth is known; None: everywhere
    name: str = ""


@dataclass(frozen=True)
class Metrics:
    """Scores in [0, 1], averaged over clips; lists follow `tapvid.THRESHOLDS`.

    NaN where no clip has anything to score.
    """

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
    return average(
        [score_tracks(clip, tracker(clip.video, clip.queries), query_mode) for clip in clips]
    )


def average(scores: Sequence[TapVidMetrics]) -> Metrics:
    """Mean over the scores of single clips. Raises ValueError if there are none."""
    if not scores:
        raise ValueError("nothing to evaluate: no clips were given")
    # A clip without a single point to find has no score for it (NaN).
    jaccard = mean_of_known([score.jaccard[0] for score in scores])
    pts_within = mean_of_known([score.pts_within[0] for score in scores])
    accuracy = mean_of_known([score.occlusion_accuracy[0] for score in scores])
    return _metrics(jaccard, pts_within, accuracy, len(scores))


def average_sets(sets: Sequence[Metrics]) -> Metrics:
    """Mean over sets of clips that count the same, however many clips they have."""
    return _metrics(
        mean_of_known([np.array(metrics.jaccard) for metrics in sets]),
        mean_of_known([np.array(metrics.pts_within) for metrics in sets]),
        mean_of_known([np.array(metrics.occlusion_accuracy) for metrics in sets]),
        sum(metrics.num_clips for metrics in sets),
    )


def _metrics(
    jaccard: np.ndarray, pts_within: np.ndarray, accuracy: np.ndarray, num_clips: int
) -> Metrics:
    return Metrics(
        float(jaccard.mean()),
        float(pts_within.mean()),
        float(accuracy),
        tuple(jaccard.tolist()),
        tuple(pts_within.tolist()),
        num_clips,
    )


def score_tracks(
    clip: TruthClip, found: Tracks, query_mode: QueryMode, *, trackwise: bool = False
) -> TapVidMetrics:
    """Scores [1], or [1, N] if trackwise, of the (tracks, occluded) that a tracker found."""
    tracks, occluded = found
    scale = scored_scale(clip)
    return compute_metrics(
        clip.queries[None],
        clip.occluded[None],
        (clip.tracks * scale)[None],
        occluded[None],
        (tracks * scale)[None],
        query_mode,
        scored=None if clip.scored is None else clip.scored[None],
        trackwise=trackwise,
    )


def scored_scale(clip: TruthClip) -> Float[np.ndarray, " two"]:
    """(x, y) factors from pixels of the clip to pixels of the size that is scored."""
    height, width = clip.video.shape[1:3]
    return SCORED_SIZE / np.array([width, height])


def mean_of_known(values: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over the first axis without the NaNs; NaN where there is nothing else."""
    stack = np.asarray(values, np.float64)
    known = ~np.isnan(stack)
    total = np.where(known, stack, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
