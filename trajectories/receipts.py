"""Commit files: what makes a shard part of the dataset.

A shard's files count only once ``commits/<shard>.json`` is there, and that file is written last. So
a run that dies at any moment leaves a whole shard or none.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field

from trajectories.errors import DatasetError
from trajectories.lease import LEASES
from trajectories.schema import SCHEMA_VERSION, SCHEMAS
from trajectories.storage import Storage, connect, is_temporary

COMMITS = "commits"
_SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}")


@dataclass(frozen=True)
class FileRecord:
    """One file of a shard, as it was written."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardReceipt:
    """What a committed shard holds.

    sources: source → number of its clips in this shard; 0 for a video that only failed here.
    files: table name ("clips", "tracks", "points", "failures") → its file.
    """

    shard: str
    clips: int
    tracks: int
    failures: int
    bytes: int
    sources: dict[str, int] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


def committed_shards(root: str | os.PathLike[str]) -> dict[str, ShardReceipt]:
    """Receipts of all committed shards by name, sorted; none where there is no dataset yet.

    Raises DatasetError naming the file when a receipt cannot be read.
    """
    return read_receipts(connect(root))


def sweep(root: str | os.PathLike[str]) -> list[str]:
    """Removes what a killed run left: temporary files and files of shards never committed.

    Call it before writing, holding the lease: the unfinished shards of another run look like
    leftovers. Returns the names removed. Files that are not of this layout are
    left alone. Raises DatasetError where there is no dataset, StorageError when a file cannot be
    removed.
    """
    storage = connect(root)
    if "dataset.json" not in storage.list_files(""):
        raise DatasetError(f"{storage.root} is no dataset: it has no dataset.json; nothing removed")
    # The tables before the receipts: a shard that is committed meanwhile, by a run that has not
    # noticed yet that it lost its lease, is then not taken for a leftover.
    there = {table: storage.list_files(table) for table in SCHEMAS}
    receipts = read_receipts(storage)
    leftovers = [name for folder in ("", COMMITS, LEASES) for name in _temporaries(storage, folder)]
    for table, names in there.items():
        kept = {file_name(table, s) for s, receipt in receipts.items() if table in receipt.files}
        leftovers += [
            name
            for name in names
            if is_temporary(name) or (name.endswith(".parquet") and name not in kept)
        ]
    for name in leftovers:
        storage.remove(name)
    return leftovers


def read_receipts(storage: Storage) -> dict[str, ShardReceipt]:
    """See `committed_shards`."""
    names = [
        name
        for name in storage.list_files(COMMITS)
        if name.endswith(".json") and not is_temporary(name)
    ]
    contents = storage.read_many(names)
    receipts = [receipt_from_json(contents[name], storage.url(name)) for name in names]
    return {receipt.shard: receipt for receipt in receipts}


def read_receipt(storage: Storage, shard: str) -> ShardReceipt | None:
    """The receipt of one shard, None where it is not committed. Lists nothing."""
    name = commit_name(shard)
    try:
        return receipt_from_json(storage.read(name), storage.url(name))
    except (FileNotFoundError, NotADirectoryError):
        return None


def receipt_to_json(receipt: ShardReceipt) -> bytes:
    """The commit file: readable, and equal for equal shards."""
    text = json.dumps(asdict(receipt), indent=1, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode()


def receipt_from_json(data: bytes, name: str) -> ShardReceipt:
    """Inverse of `receipt_to_json`; `name` is for the error message. Raises DatasetError."""
    try:
        values = json.loads(data)
        version = values["schema_version"]
        if version > SCHEMA_VERSION:
            raise DatasetError(
                f"{name} has schema version {version}, this tapirus reads up to {SCHEMA_VERSION}: "
                "upgrade tapirus"
            )
        files = {table: FileRecord(**record) for table, record in values.pop("files").items()}
        return ShardReceipt(**values, files=files)
    except DatasetError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{name} is no commit file ({type(error).__name__}); remove it and run again"
        ) from error


def commit_name(shard: str) -> str:
    """Name of a shard's commit file. Raises DatasetError for a name unfit for a file."""
    if not _SHARD_NAME.fullmatch(shard):
        raise DatasetError(
            f"shard name {shard!r}: use 1 to 200 letters, digits, '_', '-' and '.', no '.' first"
        )
    return f"{COMMITS}/{shard}.json"


def file_name(table: str, shard: str) -> str:
    """Name of a shard's file of one table."""
    return f"{table}/{shard}.parquet"


def _temporaries(storage: Storage, folder: str) -> list[str]:
    return [name for name in storage.list_files(folder) if is_temporary(name)]
