"""Look at synthetic clips: frames side by side with their tracks drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.render import Panel, draw_tracks, draw_trails
from pipelines.render import contact_sheet as lay_out
from pipelines.synthetic.clip import SyntheticClip

if TYPE_CHECKING:
    from jaxtyping import UInt8


def contact_sheet(
    clips: Sequence[SyntheticClip], names: Sequence[str] = (), columns: int = 5, title: str = ""
) -> UInt8[np.ndarray, "h w 3"]:
    """One row per clip: `columns` evenly spaced frames with tracks, and all trails in one picture.

    Filled points are visible, hollow ones hidden; tails show where they were in the last frames.
    `names` go below the first frames.
    """
    rows = [_row(clip, columns) for clip in clips]
    for row, name in zip(rows, names, strict=False):
        row[0] = Panel(row[0].image, name)
    return lay_out(rows, title=title)


def save_truth(path: str | Path, clip: SyntheticClip) -> None:
    """Write an .npz file of the kind that `tapirus eval tracker` reads (docs/evaluation.md)."""
    np.savez_compressed(
        path,
        points_xy=clip.tracks - np.float32(0.5),  # such files count pixel centres at integers
        visible=~clip.occluded,
        query_frame=clip.queries[:, 0].astype(np.int64),
    )


def _row(clip: SyntheticClip, columns: int) -> list[Panel]:
    starts, visible = clip.queries[:, :0:-1], ~clip.occluded
    moments = np.linspace(0, len(clip.video) - 1, columns).round().astype(int).tolist()
    frames = draw_tracks(
        clip.video, clip.tracks, visible, tail=5, scale=1.0, starts=starts, frames=moments
    )
    trails = draw_trails(clip.video, clip.tracks, visible, scale=1.0, starts=starts)
    return [*(Panel(frame) for frame in frames), Panel(trails)]
