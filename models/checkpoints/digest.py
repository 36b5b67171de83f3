"""SHA-256 of weight files, recorded beside them in the form that ``sha256sum -c`` reads."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from models.checkpoints.errors import CheckpointError


def sha256_of(path: Path) -> str:
    """64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def verify_or_record(path: Path) -> str:
    """The digest of a cached file, which must be the recorded one; recorded if there is none.

    Raises:
        CheckpointError: the file is not the one that was recorded.
    """
    digest = sha256_of(path)
    record = record_path(path)
    try:
        recorded = record.read_text().split()[:1]
    except FileNotFoundError:
        # A cache that others filled may be read-only: there is nothing to protect then.
        with contextlib.suppress(PermissionError):
            _write(record, f"{digest}  {path.name}\n")
        return digest
    if recorded != [digest]:
        said = recorded[0][:16] if recorded else ""
        raise CheckpointError(
            f"{path}: has changed since it was recorded (sha256 {digest[:16]}…, "
            f"{record.name} says {said}…); delete both to fetch it again"
        )
    return digest


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
