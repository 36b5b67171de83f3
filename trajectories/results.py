"""What to do with the result of a query: fetch it, or write it to a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from trajectories.errors import QueryError
from trajectories.storage import LocalStorage, connect

if TYPE_CHECKING:
    import duckdb

_FORMATS = {
    ".csv": "FORMAT csv, HEADER true",
    ".parquet": "FORMAT parquet, COMPRESSION zstd",
    ".json": "FORMAT json, ARRAY true",
    ".jsonl": "FORMAT json",
}


def fetch_result(relation: duckdb.DuckDBPyRelation, limit: int | None = None) -> pa.Table:
    """Computes a result of `Dataset.sql`, or its first `limit` rows. Raises QueryError."""
    import duckdb

    from trajectories.query import message_of

    try:
        return (relation if limit is None else relation.limit(limit)).to_arrow_table()
    except duckdb.Error as error:
        raise QueryError(message_of(error)) from error


def write_result(relation: duckdb.DuckDBPyRelation, path: str | os.PathLike[str]) -> None:
    """Writes a result as .csv, .parquet, .json (an array) or .jsonl, to a path or any fsspec URL.

    The file appears complete or not at all. Raises QueryError, StorageError.
    """
    folder, name = _split(os.fspath(path))
    suffix = Path(name).suffix.lower()
    if suffix not in _FORMATS:
        raise QueryError(f"cannot write {path}: give a name that ends in {', '.join(_FORMATS)}")
    storage = connect(folder)
    if isinstance(storage, LocalStorage):
        staged = storage.stage_with(name, lambda target: _copy(relation, target, suffix))
        storage.finish(staged)
        return
    with tempfile.TemporaryDirectory(prefix="tapirus-") as scratch:
        target = os.path.join(scratch, "result")
        _copy(relation, target, suffix)
        storage.write(name, Path(target).read_bytes())


def _split(path: str) -> tuple[str, str]:
    folder, slash, name = path.rpartition("/")
    if not slash:
        return ".", name
    # The root of a disk or of a URL keeps its slashes.
    return (folder + "/" if not folder or folder.endswith(":/") else folder), name


def _copy(relation: duckdb.DuckDBPyRelation, target: str, suffix: str) -> None:
    import duckdb

    from trajectories.query import literal, message_of

    try:
        relation.query("result", f"COPY result TO {literal(target)} ({_FORMATS[suffix]})")
    except duckdb.Error as error:
        raise QueryError(message_of(error)) from error
