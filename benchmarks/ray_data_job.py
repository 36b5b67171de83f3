"""A tracker that does nothing, and the work of an extraction as a job of Ray Data.

What benchmarks/extract_speed.py compares with: the same functions write the same shards.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import TrackResult
from pipelines.extract import ExtractSettings
from pipelines.video import ClipReader, ClipSettings, ClipSpec, plan_clips

BATCH = 16  # what an extraction comes to by itself with clips that take no time


class Still:
    """A tracker that does nothing: points stay where they are."""

    weights_digest = "still"

    def track(self, video: np.ndarray, queries: np.ndarray) -> TrackResult:
        shape = len(queries), len(video)
        tracks = np.repeat(queries[:, None, [2, 1]], len(video), axis=1)
        low = np.full(shape, -4.0, np.float32)
        return TrackResult(tracks, low, low, np.ones(shape, bool))


def run_ray_data(sources: list[str], output: str, settings: ExtractSettings) -> int:
    """The same functions in Ray Data's hands: plan, decode, track and encode, write shards.

    Returns how many clips were written.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # Its blocks of 128 MB are more than the object store of a small machine holds.
    context.target_max_block_size = 16 * 2**20
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    Path(output).mkdir(parents=True)
    clips = (
        ray.data.from_items([{"source": source} for source in sources])
        .flat_map(_Plan(settings.clip), num_cpus=0.25)
        .map_batches(_decode, batch_size=BATCH, num_cpus=0.25)
        .map_batches(
            _Track,
            fn_constructor_args=(settings.grid,),
            batch_size=BATCH,
            compute=ray.data.ActorPoolStrategy(size=1),
            num_cpus=0.5,
        )
        .map_batches(_Write(output), batch_size=settings.shard_clips, num_cpus=0.25)
    )
    return sum(row["clips"] for row in clips.iter_rows())


@dataclass(frozen=True)
class _Plan:
    clip: ClipSettings

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        import pickle

        specs = plan_clips(row["source"], self.clip).specs
        return [{"spec": pickle.dumps(spec)} for spec in specs]


def _decode(batch: dict[str, np.ndarray]) -> dict[str, Any]:
    import pickle

    with ClipReader() as reader:
        frames = [reader.read(pickle.loads(data)) for data in batch["spec"]]
    return {"spec": batch["spec"], "frames": np.stack(frames)}


class _Track:
    def __init__(self, side: int) -> None:
        from pipelines.extract.actors import QueryGrid

        self._tracker, self._grid = Still(), QueryGrid(side, "first")

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[bytes]]:
        import pickle

        from trajectories import ClipTracks, encode_clip

        packed = []
        for data, frames in zip(batch["spec"], batch["frames"], strict=True):
            spec: ClipSpec = pickle.loads(data)
            queries = self._grid.points(*frames.shape[:3])
            result = self._tracker.track(frames, queries)
            probability = 0.5 * (1.0 + np.tanh(0.5 * result.uncertainty))
            tracks = ClipTracks(spec.info, queries, result.tracks, result.visible, probability)
            packed.append(pickle.dumps(encode_clip(tracks)))
        return {"clip": packed}


@dataclass(frozen=True)
class _Write:
    output: str

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[int]]:
        import pickle
        import secrets

        from trajectories import ShardWriter

        with ShardWriter(self.output, f"shard-{secrets.token_hex(8)}") as writer:
            for data in batch["clip"]:
                writer.add(pickle.loads(data))
            return {"clips": [writer.commit().clips]}
