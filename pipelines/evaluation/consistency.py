"""What can be said about tracks on real clips whose truth nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pipelines.evaluation.benchmark import TrackerFn, mean_of_known
from pipelines.evaluation.clips import squeeze

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_NEAR = 4.0  # pixels


@dataclass(frozen=True)
class Consistency:
    """Figures of one clip, in its pixels. NaN where no point is followed far enough."""

    return_error: float  # median distance between a query and where its way back ends
    returned: float  # share of ways back that end within 4 pixels
    jitter: float  # mean length of the second difference of tracks, px/frame^2
    visible: float  # share of the points and frames that the tracker says it sees


def consistency(
    tracker: TrackerFn,
    video: UInt8[np.ndarray, "t h w 3"],
    queries: Float[np.ndarray, "n 3"],
) -> Consistency:
    """Track points of frame 0 to the end and back again.

    Each way back starts where and when the point was last said to be visible; points that are
    lost at once have none. Being wrong in the same way twice goes unnoticed, and so does standing
    still: these figures say nothing good by themselves.
    """
    tracks, occluded = tracker(video, queries)
    starts, rows = return_queries(tracks, occluded)
    errors = np.zeros(0)
    if len(rows):
        back, _ = tracker(video, starts)
        errors = np.linalg.norm(back[:, 0] - queries[rows, :0:-1], axis=-1)
    return Consistency(
        float(np.median(errors)) if len(errors) else float("nan"),
        float((errors < _NEAR).mean()) if len(errors) else float("nan"),
        jitter(tracks, occluded),
        float((~occluded).mean()),
    )


def mean_consistency(found: Sequence[Consistency]) -> Consistency:
    """Mean of each figure over the clips that have it."""
    return Consistency(
        *(
            float(mean_of_known([np.array(getattr(one, figure.name)) for one in found]))
            for figure in fields(Consistency)
        )
    )


def read_clip(video: str | Path, max_frames: int) -> UInt8[np.ndarray, "t 256 256 3"]:
    """The first frames of a video, squeezed. Raises VideoError if there are none."""
    from pipelines.video import read_video  # av is not needed where no files are read

    return squeeze(read_video(video, max_frames=max_frames).frames, Image.Resampling.BILINEAR)


def return_queries(
    tracks: Float[np.ndarray, "n t 2"], occluded: Bool[np.ndarray, "n t"]
) -> tuple[Float[np.ndarray, "m 3"], np.ndarray]:
    """Queries (t, y, x) where tracks are last visible after frame 0, and those tracks' rows."""
    num_frames = occluded.shape[1]
    last = num_frames - 1 - (~occluded)[:, ::-1].argmax(axis=1)
    rows = np.flatnonzero((~occluded[:, 1:]).any(axis=1))
    x, y = tracks[rows, last[rows]].T
    return np.stack([last[rows], y, x], axis=1).astype(np.float32), rows


def jitter(tracks: Float[np.ndarray, "n t 2"], occluded: Bool[np.ndarray, "n t"]) -> float:
    """Mean length of x(t-1) - 2 x(t) + x(t+1) over three visible frames in a row, px/frame^2.

    It holds the true acceleration of the scene as well: compare trackers on the same clips.
    """
    bends = np.linalg.norm(tracks[:, :-2] - 2 * tracks[:, 1:-1] + tracks[:, 2:], axis=-1)
    visible = ~(occluded[:, :-2] | occluded[:, 1:-1] | occluded[:, 2:])
    return float(bends[visible].mean()) if visible.any() else float("nan")
