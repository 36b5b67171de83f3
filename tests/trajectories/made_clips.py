"""Clips that the tests make themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trajectories import (
    ClipInfo,
    ClipTracks,
    Dataset,
    DatasetSpec,
    Failure,
    ShardWriter,
    clip_id,
    create_dataset,
    encode_clip,
    open_dataset,
)

SPEC = DatasetSpec(
    tracker="tapir-mini",
    weights_digest="0" * 64,
    settings={"size": 256, "grid": [16, 16]},
    tapirus_version="0.1.0",
)


def info(source: str = "/videos/a.mp4", start_s: float = 0.0, num_frames: int = 8) -> ClipInfo:
    end_s = start_s + num_frames / 24
    return ClipInfo(
        clip_id=clip_id(source, round(start_s * 1e6), round(end_s * 1e6)),
        source=source,
        start_s=start_s,
        end_s=end_s,
        fps=24.0,
        num_frames=num_frames,
        width=256,
        height=256,
        source_width=1920,
        source_height=1080,
        rotation=0,
        crop_x=420.0,
        crop_y=0.0,
        crop_width=1080.0,
        crop_height=1080.0,
    )


def random_clip(
    seed: int,
    num_tracks: int = 9,
    num_frames: int = 8,
    source: str = "/videos/a.mp4",
    start_s: float = 0.0,
) -> ClipTracks:
    """A grid of points under a smooth random motion with jitter, some of them hidden."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(num_tracks)))
    index = np.arange(num_tracks)
    start = np.stack([index % side + 0.5, index // side + 0.5], axis=1) * 256 / side
    time = np.arange(num_frames)[:, None]
    swirl = np.sin(start / 40 + rng.uniform(0, 6, 2)) * rng.uniform(0, 2)
    velocity = rng.normal(0, 1, 2) + swirl
    tracks = (
        start[:, None] + velocity[:, None] * time + rng.normal(0, 0.06, (num_tracks, num_frames, 2))
    )
    hidden_from = rng.integers(1, 2 * num_frames, num_tracks)
    visible = hidden_from[:, None] > time.T
    level = rng.beta(1, 8, (num_tracks, 1)) + rng.normal(0, 0.03, (num_tracks, num_frames))
    queries = np.concatenate([np.zeros((num_tracks, 1)), start[:, ::-1]], axis=1)
    return ClipTracks(
        info=info(source, start_s, num_frames),
        queries=queries.astype(np.float32),
        tracks=tracks.astype(np.float32),
        visible=visible,
        uncertainty=np.clip(np.where(visible, level, level + 0.5), 0, 1).astype(np.float32),
    )


def write_dataset(
    root: str | Path,
    shards: dict[str, Sequence[ClipTracks]],
    failures: Sequence[Failure] = (),
) -> Dataset:
    """A dataset with these shards; the failures go into the first."""
    create_dataset(root, SPEC)
    for name, clips in shards.items():
        writer = ShardWriter(root, name)
        for clip in clips:
            writer.add(encode_clip(clip))
        writer.commit(failures)
        failures = ()
    return open_dataset(root)
