"""Datasets of dense point trajectories: Parquet files with a versioned schema.

Write with `create_dataset`, `encode_clip` and `ShardWriter`; read with `open_dataset`; ask in SQL
with `Dataset.sql`. The schema is described in docs/dataset.md, coordinates in docs/coordinates.md.
"""

from trajectories.dataset import Dataset, create_dataset, open_dataset
from trajectories.encoding import EncodedClip, decode_clip, encode_clip
from trajectories.errors import DatasetError, LeaseError, QueryError, StorageError
from trajectories.receipts import FileRecord, ShardReceipt, committed_shards, sweep
from trajectories.records import ClipInfo, ClipTracks, Failure, clip_id
from trajectories.report import stats_text
from trajectories.report_html import stats_html
from trajectories.results import fetch_result, write_result
from trajectories.schema import SCHEMA_VERSION, describe
from trajectories.spec import DatasetSpec
from trajectories.summary import DatasetStatistics, Histogram, dataset_statistics
from trajectories.writer import ShardWriter

__all__ = [
    "SCHEMA_VERSION",
    "ClipInfo",
    "ClipTracks",
    "Dataset",
    "DatasetError",
    "DatasetSpec",
    "DatasetStatistics",
    "EncodedClip",
    "Failure",
    "FileRecord",
    "Histogram",
    "LeaseError",
    "QueryError",
    "ShardReceipt",
    "ShardWriter",
    "StorageError",
    "clip_id",
    "committed_shards",
    "create_dataset",
    "dataset_statistics",
    "decode_clip",
    "describe",
    "encode_clip",
    "fetch_result",
    "open_dataset",
    "stats_html",
    "stats_text",
    "sweep",
    "write_result",
]
