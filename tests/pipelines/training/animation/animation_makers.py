"""Datasets small enough to train on within a test, with motion and pictures that are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models import grid_queries
from pipelines.extract import ExtractSettings, settings_to_dict
from pipelines.training.animation.clips import Shape
from pipelines.training.animation.frames import FrameStore
from pipelines.video import ClipSettings
from tests.trajectories.made_clips import info
from trajectories import (
    ClipTracks,
    Dataset,
    DatasetSpec,
    ShardWriter,
    create_dataset,
    encode_clip,
    open_dataset,
)

FRAMES, SIZE, GRID = 4, 32, 4
SHAPE = Shape(FRAMES, SIZE, GRID)
CLIP = ClipSettings(num_frames=FRAMES, size=SIZE)
MODELS: dict[str, dict[str, Any]] = {
    "trajectory": {
        "patch": 1,
        "widths": [16],
        "attention": [True],
        "head_width": 8,
        "feature_channels": 16,
        "feature_blocks": 1,
    },
    "pixel": {
        "feature_channels": 8,
        "block_out_channels": [8, 16],
        "attention_head_dim": 8,
        "norm_num_groups": 4,
    },
}
"""Arguments of models for these clips."""


def grid_clip(
    source: str,
    start_s: float = 0.0,
    velocity: tuple[float, float] = (1.0, 0.5),
    visible: bool = True,
    grid: int = GRID,
) -> ClipTracks:
    """A clip in which every point moves by `velocity` pixels a frame."""
    queries = grid_queries(SIZE, SIZE, grid, grid)
    steps = np.arange(FRAMES, dtype=np.float32)[None, :, None] * np.float32(velocity)
    seen = np.full((len(queries), FRAMES), visible)
    seen[:, 0] = True
    return ClipTracks(
        info=dataclasses.replace(info(source, start_s, FRAMES), width=SIZE, height=SIZE),
        queries=queries,
        tracks=queries[:, None, [2, 1]] + steps,
        visible=seen,
        uncertainty=np.full(seen.shape, 0.0 if visible else 1.0, np.float32),
    )


def many_clips(sources: int, clips: int) -> list[ClipTracks]:
    """Clips of several sources, each with a velocity of its own."""
    made = []
    for source in range(sources):
        for clip in range(clips):
            velocity = (1.0 + source / 8, clip / 8)
            made.append(grid_clip(f"/videos/v{source:02d}__s{clip:02d}.mp4", clip, velocity))
    return made


def write_clips(
    root: Path, clips: Sequence[ClipTracks], *, shard_clips: int = 11, grid: int = GRID
) -> Dataset:
    """A dataset of these clips, as `tapirus extract` describes it."""
    settings = settings_to_dict(ExtractSettings(grid=grid, clip=CLIP), "dataset")
    create_dataset(root, DatasetSpec(tracker="none", weights_digest="0", settings=settings))
    for number, start in enumerate(range(0, len(clips), shard_clips)):
        writer = ShardWriter(root, f"shard{number:03d}")
        for clip in clips[start : start + shard_clips]:
            writer.add(encode_clip(clip))
        writer.commit()
    return open_dataset(root)


def picture(velocity: Sequence[float], t: int) -> np.ndarray:
    """uint8 [SIZE, SIZE, 3]: a soft pattern that has moved for `t` frames."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    x, y = x - t * velocity[0], y - t * velocity[1]
    waves = [np.sin(x / 3), np.sin(y / 4), np.sin((x + y) / 5)]
    return np.rint(128 + 80 * np.stack(waves, axis=-1)).astype(np.uint8)


def fill_store(root: Path, clips: Sequence[ClipTracks]) -> FrameStore:
    """Frames of these clips, moving as their tracks do."""
    store = FrameStore(root)
    store.prepare(CLIP)
    for clip in clips:
        velocity = clip.tracks[0, 1] - clip.tracks[0, 0]
        frames = [picture(velocity, t) for t in range(FRAMES)]
        store.put(clip.info.clip_id, np.stack(frames))
    return store
