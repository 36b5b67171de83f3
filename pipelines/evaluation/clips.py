"""From videos with labelled points to clips that can be scored: 256x256, with queries chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pipelines.evaluation.benchmark import SCORED_SIZE, TruthClip
from pipelines.evaluation.tapvid import QueryMode, sample_queries_first, sample_queries_strided

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt8


def squeeze(
    frames: Iterable[UInt8[np.ndarray, "h w 3"]], resample: Image.Resampling
) -> UInt8[np.ndarray, "t 256 256 3"]:
    """Frames at the benchmark's size, whatever their aspect ratio. Raises ValueError for none."""
    size = (SCORED_SIZE, SCORED_SIZE)
    small = [
        frame
        if frame.shape[:2] == size
        else np.asarray(Image.fromarray(frame).resize(size, resample))
        for frame in frames
    ]
    if not small:
        raise ValueError("has no frames")
    return np.stack(small)


def ask(
    video: UInt8[np.ndarray, "t h w 3"],
    tracks: Float[np.ndarray, "n t 2"],
    occluded: Bool[np.ndarray, "n t"],
    mode: QueryMode,
    *,
    scored: Bool[np.ndarray, "n t"] | None = None,
    query_frames: Int[np.ndarray, " n"] | None = None,
    name: str = "",
) -> TruthClip:
    """A clip with the queries of a mode: tracks that are never seen have none.

    "first" asks at `query_frames` where they are given and the point is seen and scored there,
    else where it is first; "strided" asks at every fifth frame where it is.
    """
    seen = ~occluded if scored is None else ~occluded & scored
    if mode == "strided":
        queries, rows = sample_queries_strided(~seen, tracks)
    else:
        queries, rows = sample_queries_first(~seen, tracks)
        if query_frames is not None:
            wanted = query_frames[rows]
            inside = (wanted >= 0) & (wanted < seen.shape[1])
            good = inside & seen[rows, np.where(inside, wanted, 0)]
            frames = np.where(good, wanted, queries[:, 0]).astype(int)
            at = tracks[rows, frames]
            queries = np.stack([frames, at[:, 1], at[:, 0]], axis=1)
    return TruthClip(
        video,
        queries.astype(np.float32),
        tracks[rows].astype(np.float32),
        occluded[rows],
        None if scored is None else scored[rows],
        name,
    )
