"""The dataset's record of its own inputs: which videos, and in which bucket each is.

`inputs/0000.parquet` holds the videos of the first run, `inputs/0001.parquet` those that a later
run added, and so on: a generation is written once, whole, and never changes, so buckets mean the
same in every run. Readers of the dataset need none of it.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trajectories import DatasetError
from trajectories.storage import Storage, is_temporary
from trajectories.tables import parquet_file

_FOLDER = "inputs"
_SCHEMA = pa.schema([("uri", pa.binary()), ("bucket", pa.int32())])
# Rows are sorted by bucket, so small row groups keep reading one bucket cheap.
_ROW_GROUP = 4096
_BUCKET_COLUMN = _SCHEMA.get_field_index("bucket")


@dataclass(frozen=True, order=True)
class Bucket:
    """The unit of planning and distribution: a few videos of one generation."""

    generation: int
    index: int

    @property
    def name(self) -> str:
        return f"g{self.generation:04d}-b{self.index:05d}"


def bucket_index(uri: str, buckets: int) -> int:
    """Bucket of a video: by a digest of its name, the same on every machine."""
    digest = hashlib.blake2b(os.fsencode(uri), digest_size=8).digest()
    return int.from_bytes(digest, "big") % buckets


def record_inputs(storage: Storage, uris: Iterable[str], sources_per_bucket: int) -> int:
    """Adds the videos that are not recorded yet as one generation; returns how many were new."""
    names = _generations(storage)
    known: set[str] = set()
    for name in names:
        known.update(_decode(_read(storage, name)))
    new = sorted(set(uris) - known)
    if not new:
        return 0
    buckets = -(-len(new) // sources_per_bucket)
    rows = sorted((bucket_index(uri, buckets), uri) for uri in new)
    table = pa.table(
        {"uri": [os.fsencode(uri) for _, uri in rows], "bucket": [index for index, _ in rows]},
        schema=_SCHEMA,
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=_ROW_GROUP)
    storage.write(f"{_FOLDER}/{len(names):04d}.parquet", sink.getvalue())
    return len(new)


def recorded_buckets(storage: Storage) -> dict[Bucket, int]:
    """Every bucket that holds a video, in order, and how many it holds."""
    found: dict[Bucket, int] = {}
    for generation, name in enumerate(_generations(storage)):
        for index in _read(storage, name).column("bucket").to_pylist():
            bucket = Bucket(generation, index)
            found[bucket] = found.get(bucket, 0) + 1
    return dict(sorted(found.items()))


def bucket_sources(storage: Storage, bucket: Bucket) -> list[str]:
    """The videos of one bucket, sorted."""
    name = f"{_FOLDER}/{bucket.generation:04d}.parquet"
    found: list[str] = []
    with storage.arrow_filesystem().open_input_file(storage.path(name)) as source:
        file = pq.ParquetFile(source, pre_buffer=False)
        for group in range(file.num_row_groups):
            range_ = file.metadata.row_group(group).column(_BUCKET_COLUMN).statistics
            if range_.min <= bucket.index <= range_.max:
                table = file.read_row_group(group, use_threads=False)
                found += _decode(table.filter(pc.equal(table.column("bucket"), bucket.index)))
    return sorted(found)


def _generations(storage: Storage) -> list[str]:
    return [name for name in storage.list_files(_FOLDER) if not is_temporary(name)]


def _read(storage: Storage, name: str) -> pa.Table:
    try:
        return parquet_file(storage.read(name)).read(use_threads=False)
    except pa.ArrowInvalid as error:
        raise damaged(storage, name, error) from error


def damaged(storage: Storage, name: str, error: Exception) -> DatasetError:
    """A file of the dataset's own record cannot be read, and nothing can stand in for it."""
    reason = " ".join(str(error).split())
    return DatasetError(
        f"{storage.url(name)} is damaged ({reason}): restore it, or extract into a new folder"
    )


def _decode(table: pa.Table) -> list[str]:
    # Bytes, because a file name need not be valid UTF-8.
    return [os.fsdecode(uri) for uri in table.column("uri").to_pylist()]
