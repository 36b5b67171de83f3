"""Clips with truth in files: NAME.npz and the video NAME.mp4 (docs/evaluation.md)."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pipelines.evaluation.benchmark import SCORED_SIZE, TruthClip
from pipelines.evaluation.clips import ask, squeeze
from pipelines.evaluation.tapvid import QueryMode

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MAX_FRAMES, MAX_POINTS = 48, 128


@dataclass(frozen=True, eq=False)
class Label:
    """Labelled points of a video, in its pixels with centres at +0.5."""

    points: Float[np.ndarray, "n t 2"]  # (x, y); NaN where unknown
    visible: Bool[np.ndarray, "n t"]
    scored: Bool[np.ndarray, "n t"]
    query_frames: Int[np.ndarray, " n"] | None

    def part(self, num_frames: int, max_points: int) -> Label:
        """The first frames; where there are too many points, some evenly spaced ones."""
        frames = slice(num_frames)
        askable = np.flatnonzero((self.visible & self.scored)[:, frames].any(axis=1))
        if len(askable) > max_points:
            spread = np.linspace(0, len(askable) - 1, max_points).astype(int)
            askable = askable[spread]
        return Label(
            self.points[askable, frames],
            self.visible[askable, frames],
            self.scored[askable, frames],
            None if self.query_frames is None else self.query_frames[askable],
        )


def truth_files(folder: Path, videos: Path | None = None) -> list[tuple[Path, Path]]:
    """(npz, video) of each clip in `folder`, by name; the videos may lie in a folder apart.

    Raises ValueError for a folder without .npz files, and where a video is missing.
    """
    from pipelines.video.sources import VIDEO_SUFFIXES  # not needed where no files are read

    place = videos or folder
    found = {
        path.stem: path for path in sorted(place.iterdir()) if path.suffix.lower() in VIDEO_SUFFIXES
    }
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise ValueError(f"{folder}: holds no .npz files with truth")
    for file in files:
        if file.stem not in found:
            raise ValueError(
                f"{file}: no video {file.stem}.mp4 in {place}; name its folder with --videos"
            )
    return [(file, found[file.stem]) for file in files]


def read_truth(
    file: Path,
    video: Path,
    modes: Sequence[QueryMode],
    max_frames: int = MAX_FRAMES,
    max_points: int = MAX_POINTS,
) -> dict[QueryMode, TruthClip]:
    """The first frames of a clip, squeezed to 256x256, with the queries of each mode.

    Raises ValueError for a file without the arrays needed, pipelines.video.VideoError for an
    unreadable video.
    """
    from pipelines.video import read_video

    label = read_label(file)
    frames = read_video(video, max_frames=min(max_frames, label.points.shape[1])).frames
    height, width = frames.shape[1:3]
    label = label.part(len(frames), max_points)
    if not len(label.points):
        raise ValueError(f"{file}: no point is seen in the first {len(frames)} frames of the video")
    small = squeeze(frames, Image.Resampling.BILINEAR)
    tracks = np.nan_to_num(label.points * (SCORED_SIZE / width, SCORED_SIZE / height))
    return {
        mode: ask(
            small,
            tracks,
            ~label.visible,
            mode,
            scored=label.scored,
            query_frames=label.query_frames,
            name=file.stem,
        )
        for mode in modes
    }


def read_label(file: Path) -> Label:
    """The arrays of a file. Raises ValueError where they are missing or do not fit together."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in _SHAPES if name in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file}: not a readable .npz file ({error})") from error
    _check(file, arrays)
    points = arrays["points_xy"].astype(np.float64) + 0.5  # the files' centres are at integers
    known = np.isfinite(points).all(axis=-1)
    visible = arrays["visible"].astype(bool)
    # A labelled point that is hidden needs no position; one without any label is not scored.
    scored = known | ~visible if "annotated" in arrays else known
    scored &= arrays.get("annotated", np.True_).astype(bool)
    scored &= ~arrays.get("depth_unknown", np.False_).astype(bool)
    frames = arrays.get("query_frame")
    return Label(points, visible, scored, None if frames is None else frames.astype(int))


_SHAPES = {
    "points_xy": "[N, T, 2]",
    "visible": "[N, T]",
    "annotated": "[N, T]",
    "depth_unknown": "[N, T]",
    "query_frame": "[N]",
}


def _check(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    for name in ("points_xy", "visible"):
        if name not in arrays:
            raise ValueError(f"{file}: lacks the array {name} {_SHAPES[name]}")
    shape = arrays["points_xy"].shape
    for name, array in arrays.items():
        wanted = {"points_xy": (*shape[:2], 2), "query_frame": shape[:1]}.get(name, shape[:2])
        if array.shape != wanted or len(shape) != 3 or array.dtype.kind not in "fiub":
            raise ValueError(
                f"{file}: the array {name} is {array.dtype} {list(array.shape)}, "
                f"not numbers of shape {_SHAPES[name]} for {shape[0] if shape else 0} points"
            )
