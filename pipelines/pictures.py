"""Pictures of datasets: frames read again from the sources, tracks drawn over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.render import Panel, clip_panels, contact_sheet, draw_tracks
from pipelines.video import ClipSettings, ClipSpec, VideoError, plan_clips, probe_video, read_clip
from trajectories import ClipInfo, ClipTracks, Dataset, DatasetError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

_SHEET_TRACKS = 400
_OVERLAY_TRACKS = 1024


def clip_frames(dataset: Dataset, info: ClipInfo) -> UInt8[np.ndarray, "t h w 3"]:
    """Exactly the frames that were tracked, as the extraction recorded how to read them.

    Without a record the source is planned again as it was then. Raises VideoError when the source
    has gone or is another file than it was, DatasetError when the dataset does not say how its
    clips were cut.
    """
    settings = clip_settings(dataset)
    try:
        recorded = _recorded(dataset, info)
        if recorded is not None:
            return read_clip(recorded)
        specs = find_clips([info], settings)
    except VideoError as error:
        reason = f"{error.message}; pictures need the video that was extracted in its place"
        raise VideoError(info.source, error.stage, reason, transient=error.transient) from error
    if not specs:
        raise VideoError(
            info.source,
            "plan",
            f"the clip at {info.start_s:.2f} s is no longer there: the file is not the one that "
            "was extracted",
        )
    return read_clip(specs[0])


def _recorded(dataset: Dataset, info: ClipInfo) -> ClipSpec | None:
    """How to read the clip; None without a record, or where its source is another file now."""
    from pipelines.extract.planning import recorded_clip

    spec = recorded_clip(dataset.storage, dataset.find(info.clip_id)[1], info.clip_id)
    if spec is None:
        return None
    probe = probe_video(info.source)
    here = (probe.width, probe.height, probe.rotation)
    return spec if here == (info.source_width, info.source_height, info.rotation) else None


def find_clips(infos: Sequence[ClipInfo], settings: ClipSettings) -> list[ClipSpec]:
    """How to read clips of one source, those that it still gives: it is planned again as it was.

    Raises VideoError when the source has gone or gives no clip at all.
    """
    wanted = set(infos)
    return [spec for spec in plan_clips(infos[0].source, settings).specs if spec.info in wanted]


def overlay(
    dataset: Dataset, clip: ClipTracks, *, tail: int = 12, max_tracks: int = _OVERLAY_TRACKS
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


def clip_sheet(
    dataset: Dataset, clip: ClipTracks, *, max_tracks: int = _SHEET_TRACKS
) -> UInt8[np.ndarray, "h w 3"]:
    """First, middle and last frame of a clip, and its whole trajectories."""
    info = clip.info
    title = f"{Path(info.source).name}  {info.start_s:.2f} s  {info.clip_id}"
    return contact_sheet([_row(dataset, clip, max_tracks)], title=title)


def dataset_sheet(dataset: Dataset, *, max_clips: int = 8) -> UInt8[np.ndarray, "h w 3"]:
    """One row of pictures for each of the first clips of a dataset whose sources can be read.

    Raises VideoError when none can, DatasetError when there are no clips.
    """
    rows: list[list[Panel]] = []
    problems: dict[str, VideoError] = {}
    for clip in dataset:
        if len(rows) == max_clips:
            break
        if clip.info.source in problems:
            continue
        try:
            rows.append(_row(dataset, clip, _SHEET_TRACKS))
        except VideoError as error:
            problems[clip.info.source] = error
    if not rows:
        raise next(iter(problems.values()), None) or DatasetError(
            f"{dataset.root} holds no clips to draw"
        )
    return contact_sheet(rows, title=f"{len(rows)} of {len(dataset)} clips")


def clip_settings(dataset: Dataset) -> ClipSettings:
    """How the clips of a dataset were cut. Raises DatasetError where it does not say."""
    try:
        return ClipSettings(**dataset.spec.settings["clip"])
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{dataset.root} does not say how its clips were cut, so their frames cannot be found: "
            "pictures need a dataset that `tapirus extract` of this release made"
        ) from error


def _row(dataset: Dataset, clip: ClipTracks, max_tracks: int) -> list[Panel]:
    return clip_panels(
        clip_frames(dataset, clip.info),
        clip.tracks,
        clip.visible,
        max_tracks=max_tracks,
        starts=clip.queries[:, [2, 1]],
    )
