"""What the tests of the command line are made of: an outcome, a stub tracker, small files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models import TrackResult
from pipelines.extract import ExtractSettings, settings_to_dict
from pipelines.render import demo_clip
from pipelines.video import ClipSettings, plan_clips, write_video
from trajectories import (
    ClipTracks,
    Dataset,
    DatasetSpec,
    Failure,
    ShardWriter,
    create_dataset,
    encode_clip,
    open_dataset,
)

FRAMES, SIZE, SIDE = 8, 64, 3  # of the clips: frames, pixels, query points per side
WIDTH, HEIGHT = 64, 48  # of the video
LONG_MESSAGE = "not a readable video file; " + "a long story " * 20


@dataclass(frozen=True)
class Outcome:
    """What a command gave: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class BadFiles:
    """One of each kind of file that is not a usable video, in one folder."""

    folder: Path
    names: tuple[str, ...]


class StubTracker:
    """A tracker whose answer is known; keeps what it was asked."""

    def __init__(self) -> None:
        self.video = np.zeros((0, 0, 0, 3), np.uint8)
        self.queries = np.zeros((0, 3), np.float32)

    def track(
        self, video: np.ndarray, queries: np.ndarray, progress: Callable[[int, int], None]
    ) -> TrackResult:
        self.video, self.queries = video, queries
        progress(len(queries), len(queries))
        shape = len(queries), len(video)
        low = np.full(shape, -4, np.float32)
        return TrackResult(shifted(queries, len(video)), low, low, np.ones(shape, bool))


def shifted(queries: np.ndarray, num_frames: int) -> np.ndarray:
    """float32 [N, T, 2]: every point moves one pixel a frame to the right."""
    shift = np.arange(num_frames, dtype=np.float32)[None, :, None] * np.array([1, 0], np.float32)
    return queries[:, None, [2, 1]] + shift


def make_video(
    path: Path, num_frames: int = 2 * FRAMES, height: int = HEIGHT, width: int = WIDTH
) -> Path:
    """A rendered clip with motion."""
    clip = demo_clip(num_frames, height, width)
    write_video(path, clip.video, clip.fps)
    return path


def make_dataset(root: Path, video: Path) -> Dataset:
    """The two clips of `video` with made-up tracks, and a failure."""
    clip_settings = ClipSettings(num_frames=FRAMES, size=SIZE)
    settings = settings_to_dict(ExtractSettings(grid=SIDE, clip=clip_settings), "dataset")
    create_dataset(root, DatasetSpec(tracker="stub", weights_digest="0", settings=settings))
    writer = ShardWriter(root, "shard")
    cells = (np.arange(SIDE, dtype=np.float32) + 0.5) * SIZE / SIDE
    x, y = (axis.ravel() for axis in np.meshgrid(cells, cells))
    queries = np.stack([np.zeros_like(x), y, x], axis=1)
    shape = len(queries), FRAMES
    for spec in plan_clips(str(video), clip_settings).specs:
        clip = ClipTracks(
            spec.info,
            queries,
            shifted(queries, FRAMES),
            np.ones(shape, bool),
            np.zeros(shape, np.float32),
        )
        writer.add(encode_clip(clip))
    writer.commit([Failure("/v/bad.mp4", None, None, None, "open", "VideoError", LONG_MESSAGE, 1)])
    return open_dataset(root)
