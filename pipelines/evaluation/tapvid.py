"""TAP-Vid metrics of point tracks, and the benchmark's two ways to choose query points.

Thresholds are in pixels of the coordinates given; the benchmark scores at 256x256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

QueryMode = Literal["first", "strided"]
THRESHOLDS = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class TapVidMetrics:
    """Scores in [0, 1], per clip, or per track if asked trackwise.

    The last axis of `pts_within` and `jaccard` follows THRESHOLDS.
    """

    occlusion_accuracy: Float[np.ndarray, "*scored"]
    pts_within: Float[np.ndarray, "*scored 5"]  # visible points whose position is right
    jaccard: Float[np.ndarray, "*scored 5"]  # position and visibility in one score

    @property
    def average_pts_within(self) -> Float[np.ndarray, "*scored"]:
        """Mean over the thresholds, known as delta_avg."""
        return self.pts_within.mean(axis=-1)

    @property
    def average_jaccard(self) -> Float[np.ndarray, "*scored"]:
        """Mean over the thresholds, known as AJ."""
        return self.jaccard.mean(axis=-1)


def compute_metrics(
    query_points: Float[np.ndarray, "b n 3"],
    gt_occluded: Bool[np.ndarray, "b n t"],
    gt_tracks: Float[np.ndarray, "b n t 2"],
    pred_occluded: Bool[np.ndarray, "b n t"],
    pred_tracks: Float[np.ndarray, "b n t 2"],
    query_mode: QueryMode,
    *,
    scored: Bool[np.ndarray, "b n t"] | None = None,
    trackwise: bool = False,
) -> TapVidMetrics:
    """Score predicted tracks (x, y) for queries (t, y, x); arrays [B], or [B, N] if trackwise.

    "first" scores the frames after the query's, "strided" all frames but the query's; of these
    only the frames in `scored`, where the truth is known, by default all. A score that nothing
    enters (nothing visible to find, nothing claimed) is NaN.
    """
    evaluated = evaluated_frames(query_points[..., 0], gt_tracks.shape[-2], query_mode)
    if scored is not None:
        evaluated = evaluated & scored
    squared = ((pred_tracks - gt_tracks) ** 2).sum(axis=-1)
    axes = (-1,) if trackwise else (-2, -1)
    return _scores(evaluated, gt_occluded, pred_occluded, squared, axes)


def score_points(
    gt_occluded: Bool[np.ndarray, " p"],
    pred_occluded: Bool[np.ndarray, " p"],
    errors: Float[np.ndarray, " p"],
) -> TapVidMetrics:
    """Scores, without axes, of points from any tracks and frames; `errors` are distances."""
    return _scores(np.ones_like(gt_occluded), gt_occluded, pred_occluded, errors**2, (-1,))


def _scores(
    evaluated: np.ndarray,
    gt_occluded: np.ndarray,
    pred_occluded: np.ndarray,
    squared: np.ndarray,
    axes: tuple[int, ...],
) -> TapVidMetrics:
    def count(mask: np.ndarray) -> np.ndarray:
        return mask.sum(axis=axes)

    visible = evaluated & ~gt_occluded
    claimed = evaluated & ~pred_occluded
    pts_within, jaccard = [], []
    for threshold in THRESHOLDS:
        near = squared < threshold**2
        hits = visible & claimed & near
        pts_within.append(_ratio(count(visible & near), count(visible)))
        # A wrong position counts twice: not found where it is, and claimed where it is not.
        jaccard.append(_ratio(count(hits), count(visible) + count(claimed & ~hits)))
    return TapVidMetrics(
        _ratio(count(evaluated & (gt_occluded == pred_occluded)), count(evaluated)),
        np.stack(pts_within, axis=-1),
        np.stack(jaccard, axis=-1),
    )


def sample_queries_first(
    occluded: Bool[np.ndarray, "n t"], tracks: Float[np.ndarray, "n t 2"]
) -> tuple[Float[np.ndarray, "m 3"], Int[np.ndarray, " m"]]:
    """One query per track, at its first visible frame; tracks that are never visible have none.

    Returns the queries (t, y, x) and the row of the track that each belongs to.
    """
    rows = np.flatnonzero(~occluded.all(axis=1))
    frames = (~occluded[rows]).argmax(axis=1)
    return _queries_at(tracks, rows, frames), rows


def sample_queries_strided(
    occluded: Bool[np.ndarray, "n t"], tracks: Float[np.ndarray, "n t 2"], stride: int = 5
) -> tuple[Float[np.ndarray, "m 3"], Int[np.ndarray, " m"]]:
    """A query at every `stride`-th frame for each track visible there, ordered by frame.

    Returns the queries (t, y, x) and the row of the track that each belongs to.
    """
    steps, rows = np.nonzero(~occluded[:, ::stride].T)
    return _queries_at(tracks, rows, steps * stride), rows


def evaluated_frames(
    query_frames: Float[np.ndarray, "*n"], num_frames: int, query_mode: QueryMode
) -> Bool[np.ndarray, "*n t"]:
    """The frames that a query's track is scored on: those after it, or all but its own."""
    frames = np.arange(num_frames)
    asked = np.round(query_frames)[..., None]
    if query_mode == "first":
        return frames > asked
    if query_mode == "strided":
        return frames != asked
    raise ValueError(f"query_mode must be 'first' or 'strided', got {query_mode!r}")


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    undefined = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=undefined, where=whole > 0)


def _queries_at(tracks: np.ndarray, rows: np.ndarray, frames: np.ndarray) -> np.ndarray:
    x, y = tracks[rows, frames].T
    return np.stack([frames.astype(tracks.dtype), y, x], axis=1)
