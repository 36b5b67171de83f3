"""Whether an output can be written: tried with a file that comes and goes."""

from __future__ import annotations

import os
import secrets
import shutil
import time

from pipelines.extract.errors import ExtractError
from pipelines.extract.estimate import Estimate
from trajectories.remote_file import client_of
from trajectories.report import readable_bytes
from trajectories.storage import LocalStorage, Storage


def probe_storage(storage: Storage) -> str:
    """Writes, reads and removes a file under the output; says how long that took.

    Raises StorageError, ExtractError.
    """
    made = _missing_folders(storage)
    name, data = f".probe-{secrets.token_hex(4)}.tmp", secrets.token_bytes(64)
    start = time.perf_counter()
    try:
        storage.write(name, data)
        back = storage.read(name)
        storage.remove(name)
    finally:
        for folder in made:
            # Only if nothing else has come into it.
            if os.path.isdir(folder) and not os.listdir(folder):
                os.rmdir(folder)
    if back != data:
        raise ExtractError(f"{storage.root} gives back other bytes than it was given")
    milliseconds = 1000 * (time.perf_counter() - start)
    return f"{storage.root}: a file was written, read and removed in {milliseconds:.0f} ms"


def whose_rights(url: str) -> str:
    """As whom a URL is read and written from this machine."""
    protocol, separator, _ = url.partition("://")
    if not separator or protocol == "file":
        return "local files"
    filesystem, _ = client_of(url)
    login = getattr(filesystem, "credentials", None)
    method = getattr(login, "method", None)
    account = getattr(getattr(login, "credentials", None), "service_account_email", None)
    text = f"{protocol}: " + (account or (f"login by {method}" if method else "as fsspec has it"))
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    return f"{text}, emulator at {emulator}" if emulator and protocol in ("gs", "gcs") else text


def _missing_folders(storage: Storage) -> list[str]:
    """Folders that a first file would bring into being, innermost first."""
    missing: list[str] = []
    if isinstance(storage, LocalStorage):
        folder = storage.root
        while folder and not os.path.exists(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
    return missing


def require_space(storage: LocalStorage, made: Estimate) -> str:
    folder = storage.root
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free
    need = made.bytes.value + 2 * (made.bytes.deviation or 0.0)
    if free < need:
        raise ExtractError(
            f"{storage.root} has {readable_bytes(free)} free and the dataset may take "
            f"{readable_bytes(need)}: make room, or write elsewhere"
        )
    return f"{readable_bytes(free)} free"
