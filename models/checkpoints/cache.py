"""The folder of downloaded checkpoints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from models.checkpoints.digest import record_path, verify_or_record
from models.checkpoints.download import download
from models.checkpoints.errors import CheckpointError
from models.checkpoints.progress import Progress, ProgressLine, megabytes
from models.checkpoints.registry import PUBLISHED, PublishedCheckpoint


def cache_folder() -> Path:
    """``$TAPIRUS_CACHE``, else ``$XDG_CACHE_HOME/tapirus``, else ``~/.cache/tapirus``."""
    if own := os.environ.get("TAPIRUS_CACHE"):
        return Path(own).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "tapirus"
    return Path.home() / ".cache" / "tapirus"


def find_checkpoint(name: str) -> Path | None:
    """The cached file of a published configuration, in any format; None if there is none.

    Raises:
        CheckpointError: nothing was published under that name.
    """
    folder = cache_folder()
    for file_name in _entry(name).file_names:
        if (folder / file_name).is_file():
            return folder / file_name
    return None


def fetch_checkpoint(name: str, progress: Progress | None = None) -> tuple[Path, str]:
    """The cached file of a published configuration, downloaded if need be, and its SHA-256.

    Without ``progress`` the URL, size, progress and digest of a download go to stderr.

    Raises:
        CheckpointError: not published, unreachable, or another file than was recorded.
    """
    found = find_checkpoint(name)
    if found is not None:
        return found, verify_or_record(found)
    entry = _entry(name)
    target = cache_folder() / entry.file_names[0]
    told = progress is None
    if told:
        print(f"{name}: {entry.url} ({megabytes(entry.weight_bytes)}) → {target}", file=sys.stderr)
    digest = download(
        entry.url,
        target,
        progress=progress or ProgressLine(name),
        min_bytes=entry.weight_bytes,
    )
    if told:
        print(f"{name}: sha256 {digest}, recorded in {record_path(target)}", file=sys.stderr)
    return target, digest


def _entry(name: str) -> PublishedCheckpoint:
    if name not in PUBLISHED:
        raise CheckpointError(
            f"no published weights for {name!r}: choose one of {', '.join(PUBLISHED)}"
        )
    return PUBLISHED[name]
