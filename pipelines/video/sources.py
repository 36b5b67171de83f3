"""From what a user names to a list of videos: files, folders, patterns, manifests, URLs."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipelines.video.errors import SourceError, one_line
from pipelines.video.opening import is_url
from trajectories.backoff import patiently
from trajectories.remote_file import client_of

# Taken from folders; a file that is named itself may have any suffix.
VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3gp", "asf", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4"),
        *("mpeg", "mpg", "mts", "mxf", "ogv", "ts", "vob", "webm", "wmv"),
    )
)
MANIFEST_SUFFIXES = frozenset({".txt", ".csv", ".parquet"})
MANIFEST_COLUMNS = ("source", "uri", "path", "video")


def expand_sources(inputs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The videos that `inputs` name: sorted, each once, local ones as absolute paths.

    An input is, locally or as any URL that fsspec reads (`gs://bucket/…`, `memory://…`):

    - a file, kept whatever its suffix, also when it does not exist: opening it will say so;
    - a folder: the video files in it and in its sub-folders, by suffix; hidden ones are left out,
      and a folder that cannot be listed is kept, so that it fails by itself later;
    - a pattern (`*`, `[…]`, `**` for any depth, `?` in local paths); a local file of that very name
      comes first;
    - a manifest: `.txt` with one entry per line (`#` starts a comment line), `.csv` or `.parquet`
      with a column `source`, `uri`, `path` or `video`. Entries are files, folders or patterns,
      relative ones from the manifest's own folder.

    Raises SourceError when an input names nothing or a manifest cannot be read.
    """
    found: set[str] = set()
    for given in inputs:
        text = os.fspath(given)
        if text.startswith("file://"):
            text = text.removeprefix("file://")
        if not text.strip():
            raise SourceError("an input is empty: name a video, folder, pattern or manifest")
        if PurePosixPath(text).suffix.lower() in MANIFEST_SUFFIXES and not _is_pattern(text):
            found.update(_manifest_sources(text))
        else:
            found.update(_expand(text))
    if not found:
        raise SourceError("no videos: name a file, folder, pattern or manifest")
    return sorted(found)


def _is_pattern(text: str) -> bool:
    if is_url(text):
        return "*" in text or "[" in text  # a question mark starts the query of a web address
    return glob.has_magic(text) and not os.path.lexists(text)


def _is_video(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def _expand(text: str) -> list[str]:
    return _expand_url(text) if is_url(text) else _expand_local(os.path.abspath(text))


def _expand_local(path: str) -> list[str]:
    if _is_pattern(path):
        matches = glob.glob(path, recursive=True)
        files = [match for match in matches if not os.path.isdir(match)]
        if not files:
            raise SourceError(f"{path}: the pattern matches no file")
        return files
    if not os.path.isdir(path):
        return [path]
    files = list(_walk(path))
    if not files:
        raise SourceError(f"{path}: the folder holds no video files")
    return files


def _walk(folder: str) -> Iterator[str]:
    unlisted: list[str] = []

    def keep(error: OSError) -> None:
        unlisted.append(str(error.filename))

    for parent, folders, names in os.walk(folder, onerror=keep):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(parent, name) for name in names if _is_video(name))
    yield from unlisted


def _expand_url(url: str) -> list[str]:
    inner, chain, outer = url.partition("::")  # "a::b" is a file inside a file, a chain of stores
    named = not _is_pattern(inner) and _is_video(inner.partition("?")[0])
    try:
        store, path = client_of(url)
        if named:
            files = [path]  # a store is not asked about each of thousands of names
        else:
            files = patiently(url, lambda: _listed(store, path, _is_pattern(inner)))
        # Spelt by the store, so that a file has one address however it was found.
        addresses = [store.unstrip_protocol(name) + chain + outer for name in files]
    except Exception as error:  # every file store has its own exception classes
        if named:
            return [url]  # opening it will say what is wrong
        raise SourceError(f"{url}: cannot be reached ({one_line(error)})") from error
    if not addresses:
        raise SourceError(f"{url}: no video is found there")
    return addresses


def _listed(store: Any, path: str, pattern: bool) -> list[str]:
    if pattern:
        # With what the listing says of each: asking for it would list again for each name.
        found = store.glob(path, detail=True)
        return [name for name, about in found.items() if about["type"] != "directory"]
    if store.isdir(path):
        return [name for name in store.find(path) if _is_video(name)]
    return [path]


def _manifest_sources(manifest: str) -> list[str]:
    if not is_url(manifest):
        manifest = os.path.abspath(manifest)
    entries = [entry.strip() for entry in _read_manifest(manifest)]
    entries = [entry for entry in entries if entry]
    if not entries:
        raise SourceError(f"{manifest}: the manifest names no videos")
    folder = manifest.rsplit("/", 1)[0] + "/" if is_url(manifest) else os.path.dirname(manifest)
    found: list[str] = []
    for entry in entries:
        if entry.startswith("file://"):
            entry = entry.removeprefix("file://")
        try:
            found += _expand(entry if is_url(entry) else _beside(folder, entry))
        except SourceError as error:
            raise SourceError(f"{manifest}: {error}") from error
    return found


def _beside(folder: str, entry: str) -> str:
    if os.path.isabs(entry):
        return entry
    return folder + entry if is_url(folder) else os.path.join(folder, entry)


def _read_manifest(manifest: str) -> list[str]:
    suffix = PurePosixPath(manifest).suffix.lower()
    try:
        if suffix == ".parquet":
            return _read_parquet(manifest)
        store, path = client_of(manifest)
        with store.open(path, "r", encoding="utf-8-sig", newline="") as file:
            if suffix == ".csv":
                return _read_csv(manifest, file)
            return [line for line in file if not line.lstrip().startswith("#")]
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{manifest}: no such manifest") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{manifest}: the manifest is not UTF-8 text") from error
    except Exception as error:  # pyarrow, csv and every file store have classes of their own
        raise SourceError(f"{manifest}: cannot be read ({one_line(error)})") from error


def _column(manifest: str, names: Sequence[str]) -> str:
    for wanted in MANIFEST_COLUMNS:
        for name in names:
            if name.strip().lower() == wanted:
                return name
    raise SourceError(
        f"{manifest}: has no column {', '.join(MANIFEST_COLUMNS[:-1])} or {MANIFEST_COLUMNS[-1]} "
        f"(it has: {', '.join(names) or 'none'})"
    )


def _read_csv(manifest: str, file: Any) -> list[str]:
    reader = csv.DictReader(file)
    column = _column(manifest, reader.fieldnames or [])
    return [row[column] or "" for row in reader]


def _read_parquet(manifest: str) -> list[str]:
    import pyarrow.parquet as pq

    store, path = client_of(manifest)
    with store.open(path, "rb") as file:
        parquet = pq.ParquetFile(file, pre_buffer=False)
        column = _column(manifest, parquet.schema_arrow.names)
        values = parquet.read(columns=[column]).column(0).to_pylist()
    return [str(value) for value in values if value is not None]
