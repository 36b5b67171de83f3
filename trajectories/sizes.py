"""What each column costs on disk: ``python -m trajectories.sizes [DATASET]``.

Without a dataset it measures generated ones: eight clips of 24 frames with a 64 × 64 grid of points
under smooth motion with 0.06 px of jitter.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq

from trajectories.dataset import Dataset, create_dataset, open_dataset
from trajectories.encoding import encode_clip
from trajectories.errors import DatasetError
from trajectories.records import ClipInfo, ClipTracks, clip_id
from trajectories.schema import SCHEMAS
from trajectories.spec import DatasetSpec
from trajectories.writer import ShardWriter

_SMALL = 40  # bytes per clip; smaller columns are summed up


def column_bytes(dataset: Dataset) -> dict[tuple[str, str], int]:
    """(table, column) → compressed bytes over all files, from the files' own footers."""
    sizes: dict[tuple[str, str], int] = {}
    filesystem = dataset.storage.arrow_filesystem()
    for table, schema in SCHEMAS.items():
        for name in dataset.paths(table):
            metadata = pq.read_metadata(dataset.storage.path(name), filesystem=filesystem)
            for group in range(metadata.num_row_groups):
                row_group = metadata.row_group(group)
                for index in range(metadata.num_columns):
                    chunk = row_group.column(index)
                    column = chunk.path_in_schema.partition(".")[0]
                    assert column in schema.names
                    key = (table, column)
                    sizes[key] = sizes.get(key, 0) + chunk.total_compressed_size
    return sizes


def sizes_text(dataset: Dataset) -> str:
    """Columns from large to small in kB per clip, and the whole with its file overheads."""
    clips = len(dataset)
    if not clips:
        return f"{dataset.root} has no clips"
    sizes = sorted(column_bytes(dataset).items(), key=lambda item: -item[1])
    large = [(key, size) for key, size in sizes if size >= _SMALL * clips]
    rest = sum(size for _, size in sizes) - sum(size for _, size in large)
    lines = [
        f"{table + '.' + column:<28} {size / clips / 1000:8.2f}" for (table, column), size in large
    ]
    lines.append(f"{'other columns':<28} {rest / clips / 1000:8.2f}")
    total = sum(receipt.bytes for receipt in dataset.shards.values()) / clips / 1000
    return "\n".join([f"kB per clip, {clips} clips", *lines, f"{'all files':<28} {total:8.2f}"])


def smooth_clip(seed: int, side: int = 64, num_frames: int = 24) -> ClipTracks:
    """A grid over 256 × 256 px that drifts, swirls and jitters; a part of it gets occluded."""
    rng = np.random.default_rng(seed)
    centres = (np.arange(side) + 0.5) * 256 / side
    start = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
    velocity = rng.normal(0, 1, 2) + np.sin(start / 40 + rng.uniform(0, 6, 2)) * rng.uniform(0, 2)
    frames = np.arange(num_frames)
    tracks = start[:, None] + velocity[:, None] * frames[:, None]
    tracks += rng.normal(0, 0.06, tracks.shape)
    # A vertical edge sweeps over the picture and hides what is left of it.
    visible = tracks[..., 0] > frames * rng.uniform(0, 4)
    level = 0.1 + 0.05 * np.sin(start[:, :1] / 9) + rng.normal(0, 0.03, visible.shape)
    queries = np.concatenate([np.zeros((len(start), 1)), start[:, ::-1]], axis=1)
    info = ClipInfo(
        clip_id=clip_id("generated", seed, seed + 1),
        source="generated",
        start_s=seed,
        end_s=seed + 1,
        fps=float(num_frames),
        num_frames=num_frames,
        width=256,
        height=256,
        source_width=256,
        source_height=256,
        rotation=0,
        crop_x=0.0,
        crop_y=0.0,
        crop_width=256.0,
        crop_height=256.0,
    )
    return ClipTracks(
        info=info,
        queries=queries.astype(np.float32),
        tracks=tracks.astype(np.float32),
        visible=visible,
        uncertainty=np.clip(np.where(visible, level, level + 0.6), 0, 1).astype(np.float32),
    )


def main(arguments: Sequence[str]) -> int:
    """Prints the sizes; returns the exit code."""
    if len(arguments) > 1:
        print("usage: python -m trajectories.sizes [DATASET]", file=sys.stderr)
        return 2
    try:
        if arguments:
            print(sizes_text(open_dataset(arguments[0])))
            return 0
        with tempfile.TemporaryDirectory(prefix="tapirus-") as folder:
            create_dataset(folder, DatasetSpec(tracker="generated", weights_digest=""))
            with ShardWriter(folder, "generated") as writer:
                for seed in range(8):
                    writer.add(encode_clip(smooth_clip(seed)))
                writer.commit()
            print(sizes_text(open_dataset(folder)))
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
