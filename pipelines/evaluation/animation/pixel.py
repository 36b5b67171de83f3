"""Scores of generated frames against the filmed ones, and against the tracks asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models import grid_queries
from pipelines.evaluation.animation.metrics import end_point_errors, psnr, ssim
from pipelines.evaluation.animation.trajectory import SCORED_SIZE, mean_of_known, plain

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

FILMED = "filmed"
"""The true frames among the methods: how well the tracker finds the tracks where they are exact."""
_POINTS = 16  # per side, tracked again
_NEAR = 4.0  # pixels


@dataclass(frozen=True, eq=False)
class DrivenClip:
    """A clip to be drawn anew from its first frame and its tracks."""

    frames: UInt8[np.ndarray, "t s s 3"]
    tracks: Float[np.ndarray, "t 2 h w"]
    visible: Bool[np.ndarray, "t h w"]


DrawFrames = Callable[[DrivenClip, int], "UInt8[np.ndarray, 't s s 3']"]
"""From a clip, of which only the first frame may be looked at, and its number, all frames."""
TrackPoints = Callable[
    ["UInt8[np.ndarray, 't s s 3']", "Float[np.ndarray, 'n 3']"], "Float[np.ndarray, 'n t 2']"
]
"""From a video and query points (t, y, x) to tracks (x, y)."""


@dataclass(frozen=True)
class PixelScores:
    """Means over clips; the first frame does not count."""

    psnr: float
    """dB, of all frames of a clip together."""
    ssim: float
    retracked_mean: float
    """Distance of the points tracked in the frames from where they should be, px of 256."""
    retracked_median: float
    retracked_near: float
    """Share of them within 4 px."""


@dataclass(frozen=True)
class PixelReport:
    """Scores of all methods on the same clips."""

    methods: dict[str, PixelScores]
    num_clips: int

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN and infinity as null."""
        return {
            "clips": self.num_clips,
            "methods": {name: plain(vars(scores)) for name, scores in self.methods.items()},
        }


def evaluate_pixels(
    methods: Mapping[str, DrawFrames],
    track: TrackPoints,
    clips: Iterable[DrivenClip],
    progress: Callable[[int], None] | None = None,
) -> PixelReport:
    """Draws every clip with every method, compares it with the filmed one and tracks it again.

    The filmed clip itself is scored, too, under `FILMED`: errors of tracking it again are those of
    the tracker. Raises ValueError if there are no clips.
    """
    found: dict[str, list[list[float]]] = {name: [] for name in (*methods, FILMED)}
    count = 0
    for number, clip in enumerate(clips):
        for name, method in methods.items():
            found[name].append(_score(method(clip, number), clip, track))
        found[FILMED].append(_score(clip.frames, clip, track))
        count = number + 1
        if progress is not None:
            progress(count)
    if not count:
        raise ValueError("nothing to evaluate: no clips were given")
    means = {name: mean_of_known(np.array(rows)).tolist() for name, rows in found.items()}
    return PixelReport({name: PixelScores(*values) for name, values in means.items()}, count)


def _score(frames: np.ndarray, clip: DrivenClip, track: TrackPoints) -> list[float]:
    similar = [ssim(*pair) for pair in zip(frames[1:], clip.frames[1:], strict=True)]
    errors = _retracked(frames, clip, track)
    if not len(errors):
        errors = np.array([np.nan])
    return [
        psnr(frames[1:], clip.frames[1:]),
        float(np.mean(similar)),
        float(errors.mean()),
        float(np.median(errors)),
        float((errors < _NEAR).mean()) if np.isfinite(errors).all() else float("nan"),
    ]


def _retracked(frames: np.ndarray, clip: DrivenClip, track: TrackPoints) -> np.ndarray:
    """Errors in pixels of a frame of 256 x 256."""
    size = frames.shape[1]
    rows, columns = clip.visible.shape[1:]
    chosen = [
        ((np.arange(count) + 0.5) * side / count).astype(int)
        for side, count in ((rows, min(rows, _POINTS)), (columns, min(columns, _POINTS)))
    ]
    points = (chosen[0][:, None] * columns + chosen[1]).ravel()
    queries = grid_queries(size, size, rows, columns)[points]
    wanted = clip.tracks.reshape(len(clip.tracks), 2, -1)[:, :, points].transpose(2, 0, 1)
    visible = clip.visible.reshape(len(clip.visible), -1)[:, points].T
    return end_point_errors(track(frames, queries), wanted, visible) * SCORED_SIZE / size
