"""Opening a dataset and reading it: tables, single clips, and a stream over all clips."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from trajectories.errors import DatasetError
from trajectories.lease import LEASES
from trajectories.receipts import ShardReceipt, file_name, read_receipts
from trajectories.records import ClipInfo, ClipTracks
from trajectories.schema import CLIPS_PER_ROW_GROUP, SCHEMAS
from trajectories.spec import (
    DatasetSpec,
    differences,
    normalised,
    spec_from_json,
    spec_to_json,
)
from trajectories.storage import Storage, connect, is_temporary
from trajectories.tables import RowGroup, clip_infos, decode_row

if TYPE_CHECKING:
    import duckdb

_DESCRIPTION = "dataset.json"


class Dataset:
    """A dataset as it was committed when it was opened; later commits need a new `open_dataset`."""

    def __init__(
        self, storage: Storage, spec: DatasetSpec, receipts: dict[str, ShardReceipt]
    ) -> None:
        """Use `open_dataset`."""
        self.storage = storage
        self.spec = spec
        self.shards = receipts

    @property
    def root(self) -> str:
        """Absolute path or URL."""
        return self.storage.root

    def __len__(self) -> int:
        """Number of clips."""
        return sum(receipt.clips for receipt in self.shards.values())

    def __repr__(self) -> str:
        return f"Dataset({self.root!r}, {len(self)} clips in {len(self.shards)} shards)"

    def clips(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The `clips` table, or some of its columns."""
        return self._table("clips", columns)

    def tracks(self, columns: Sequence[str] | None = None, filter: Any = None) -> pa.Table:
        """The `tracks` table: one row per track, so ask for what you need.

        filter: a `pyarrow.compute.Expression` that rows must fulfil.
        """
        return self._table("tracks", columns, filter)

    def failures(self) -> pa.Table:
        """The `failures` table."""
        return self._table("failures", None)

    def clip(self, clip_id: str) -> ClipTracks:
        """Tracks of one clip, by its id or a unique prefix of it. Raises DatasetError."""
        shard, row = self._places[self.find(clip_id)[0]]
        group, offset = divmod(row, CLIPS_PER_ROW_GROUP)
        return self.row_group(shard, group)[offset]

    def find(self, clip_id: str) -> tuple[str, str]:
        """Id and shard of a clip, by its id or a unique prefix of it. Raises DatasetError."""
        matches = [known for known in self._places if known.startswith(clip_id)]
        if clip_id in self._places:
            matches = [clip_id]
        if not matches:
            raise DatasetError(
                f"no clip {clip_id!r} among the {len(self)} of {self.root}: "
                "the ids are in column clip_id of the table clips"
            )
        if len(matches) > 1:
            some = ", ".join(matches[:3]) + (", …" if len(matches) > 3 else "")
            raise DatasetError(
                f"{clip_id!r} is the start of {len(matches)} clip ids ({some}): give more digits"
            )
        return matches[0], self._places[matches[0]][0]

    def shard_infos(self, shard: str) -> list[ClipInfo]:
        """What the clips of a shard are, in the order of its rows; none where all of it failed."""
        if not self.shards[shard].clips:
            return []
        with self._parquet("clips", shard) as file:
            return clip_infos(file.read(use_threads=False))

    def row_group(self, shard: str, group: int) -> RowGroup:
        """Clips `CLIPS_PER_ROW_GROUP` * group and following of a shard, read together.

        For readers that choose their own order. Starts no threads: safe in forked processes.
        """
        start = group * CLIPS_PER_ROW_GROUP
        with self._parquet("points", shard) as file:
            points = file.read_row_group(group, use_threads=False)
        return RowGroup(self.shard_infos(shard)[start : start + len(points)], points)

    def __reduce__(self) -> tuple[Any, ...]:
        # The SQL connection stays behind: each process makes its own.
        return type(self), (self.storage, self.spec, self.shards)

    def __iter__(self) -> Iterator[ClipTracks]:
        """Tracks of all clips, by shard, source and time; holds one row group at a time."""
        for shard, receipt in self.shards.items():
            if not receipt.clips:
                continue
            with self._parquet("clips", shard) as file:
                infos = clip_infos(file.read())
            with self._parquet("points", shard) as file:
                start = 0
                for group in range(file.num_row_groups):
                    points = file.read_row_group(group)
                    for row in range(len(points)):
                        yield decode_row(infos[start + row], points, row)
                    start += len(points)

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """Result of a SQL query over the views of `trajectories.query`. Raises QueryError."""
        from trajectories.query import run_query

        return run_query(self._connection, query)

    def paths(self, table: str) -> list[str]:
        """Names of the committed files of a table, relative to the root."""
        return [file_name(table, s) for s, receipt in self.shards.items() if table in receipt.files]

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        from trajectories.query import connect_views

        return connect_views(self)

    @cached_property
    def _places(self) -> dict[str, tuple[str, int]]:
        """Clip id → shard and row: rows of `clips` and `points` are in the same order."""
        places: dict[str, tuple[str, int]] = {}
        for shard, receipt in self.shards.items():
            if not receipt.clips:
                continue
            with self._parquet("clips", shard) as file:
                ids = file.read(columns=["clip_id"])["clip_id"].to_pylist()
            places.update({identity: (shard, row) for row, identity in enumerate(ids)})
        return places

    def _table(self, table: str, columns: Sequence[str] | None, filter: Any = None) -> pa.Table:
        schema = SCHEMAS[table]
        unknown = set(columns or ()) - set(schema.names)
        if unknown:
            raise DatasetError(
                f"table {table} has no column {', '.join(sorted(unknown))}; "
                f"it has {', '.join(schema.names)}"
            )
        names = self.paths(table)
        if not names:
            return schema.empty_table().select(list(columns or schema.names))
        import pyarrow.dataset as pads

        with self._reading():
            files = pads.dataset(
                [self.storage.path(name) for name in names],
                schema=schema,
                format="parquet",
                filesystem=self.storage.arrow_filesystem(),
            )
            return files.to_table(columns=list(columns) if columns else None, filter=filter)

    @contextmanager
    def _parquet(self, table: str, shard: str) -> Iterator[pq.ParquetFile]:
        filesystem = self.storage.arrow_filesystem()
        with (
            self._reading(),
            filesystem.open_input_file(self.storage.path(file_name(table, shard))) as source,
            pq.ParquetFile(source, pre_buffer=False) as file,
        ):
            yield file

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Says which dataset is damaged, and what to do about it."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise DatasetError(
                f"{self.root}: a committed file is missing or damaged: {reason}; "
                "restore it, or remove its shard's file in commits/ and extract again"
            ) from error


def create_dataset(root: str | os.PathLike[str], spec: DatasetSpec) -> Dataset:
    """Creates a dataset, or opens the one that is there if it was made with the same spec.

    The release that created it may differ. Raises DatasetError listing the settings that differ
    with both values, or when the folder holds something else; StorageError when it cannot be
    written.
    """
    storage = connect(root)
    spec = normalised(spec)
    names = storage.list_files("")
    if _DESCRIPTION in names:
        dataset = open_dataset(root)
        found = differences(dataset.spec, spec)
        if found:
            raise DatasetError(
                f"{storage.root} was made with other settings ({'; '.join(found)}): "
                "use these, or write to a new folder"
            )
        return dataset
    require_unused(storage)
    storage.write(_DESCRIPTION, spec_to_json(spec))
    return Dataset(storage, spec, {})


def require_unused(storage: Storage) -> None:
    """Raises DatasetError where a new dataset would lie among other files."""
    if any(not is_temporary(name) and name != LEASES for name in storage.entries()):
        raise DatasetError(
            f"{storage.root} holds other files and no dataset.json: give a new or empty folder"
        )


def open_dataset(root: str | os.PathLike[str]) -> Dataset:
    """Opens a dataset for reading: a folder or any fsspec URL.

    Raises DatasetError where there is no dataset or one of a newer schema version.
    """
    storage = connect(root)
    try:
        content = storage.read(_DESCRIPTION)
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetError(f"{storage.root} is no dataset: {_why(storage)}") from None
    spec = spec_from_json(content, storage.url(_DESCRIPTION))
    return Dataset(storage, spec, read_receipts(storage))


def _why(storage: Storage) -> str:
    remedy = "give the folder that `tapirus extract … -o` wrote"
    if os.path.isfile(storage.root):
        return f"it is a file; {remedy}"
    if not storage.entries():
        return f"there is nothing at this path; {remedy}"
    return f"it has no {_DESCRIPTION}; {remedy}"
