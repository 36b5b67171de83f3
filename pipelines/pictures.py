"""Pictures of datasets: frames read again from the sources, tracks drawn over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.render import Panel, clip_panels, contact_sheet, draw_tracks
from pipelines.video import ClipSettings, VideoError, plan_clips, read_clip
from trajectories import ClipInfo, ClipTracks, Dataset

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8


def clip_frames(dataset: Dataset, info: ClipInfo) -> UInt8[np.ndarray, "t h w 3"]:
    """Exactly the frames that were tracked: the source is planned again as it was then.

    Raises VideoError when the source has gone or is another file than it was.
    """
    settings = ClipSettings(**dataset.spec.settings["clip"])
    for spec in plan_clips(info.source, settings).specs:
        if spec.info.clip_id == info.clip_id:
            return read_clip(spec)
    raise VideoError(
        info.source,
        "plan",
        f"the clip at {info.start_s:.2f} s is no longer there: the file is not the one that was "
        "extracted",
    )


def overlay(
    dataset: Dataset, clip: ClipTracks, *, tail: int = 12, max_tracks: int = 1024
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The clip's frames with its tracks."""
    return draw_tracks(
        clip_frames(dataset, clip.info),
        clip.tracks,
        clip.visible,
        tail=tail,
        max_tracks=max_tracks,
        starts=clip.queries[:, [2, 1]],
    )


def clip_sheet(dataset: Dataset, clip: ClipTracks) -> UInt8[np.ndarray, "h w 3"]:
    """First, middle and last frame of a clip, and its whole trajectories."""
    info = clip.info
    title = f"{Path(info.source).name}  {info.start_s:.2f} s  {info.clip_id}"
    return contact_sheet([_row(dataset, clip)], title=title)


def dataset_sheet(dataset: Dataset, *, max_clips: int = 8) -> UInt8[np.ndarray, "h w 3"]:
    """One row of pictures for each of the first clips of a dataset."""
    rows = []
    for clip in dataset:
        rows.append(_row(dataset, clip))
        if len(rows) == max_clips:
            break
    return contact_sheet(rows, title=f"{len(rows)} of {len(dataset)} clips")


def _row(dataset: Dataset, clip: ClipTracks) -> list[Panel]:
    return clip_panels(
        clip_frames(dataset, clip.info),
        clip.tracks,
        clip.visible,
        starts=clip.queries[:, [2, 1]],
    )
