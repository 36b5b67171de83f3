"""Reading and writing whole files atomically, on local disks and object stores.

Names are relative to a root and use forward slashes (``clips/a.parquet``). A file appears under its
name complete or not at all: on a local disk it is written under a temporary name in the same
folder, flushed to the disk and renamed; on an object store an upload under the final name is atomic
already.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajectories.errors import StorageError, one_line, refused

_TEMPORARY_SUFFIX = ".tmp"


@dataclass(frozen=True)
class Staged:
    """A file on its way: `temporary` on a local disk, `data` for an object store."""

    name: str
    temporary: str | None = None
    data: bytes | None = None


class Storage(ABC):
    """Files under one root."""

    root: str  # absolute path or URL, as shown to the user

    @abstractmethod
    def stage(self, name: str, data: bytes) -> Staged:
        """Prepares a file without making it visible. Raises StorageError."""

    @abstractmethod
    def publish(self, staged: Staged) -> None:
        """Makes a staged file visible, replacing one of the same name. Raises StorageError."""

    @abstractmethod
    def discard(self, staged: Staged) -> None:
        """Forgets a staged file; never raises."""

    @abstractmethod
    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Contents of files. Raises FileNotFoundError, StorageError."""

    @abstractmethod
    def list_files(self, folder: str) -> list[str]:
        """Names of the files directly in a folder, sorted; none where it does not exist."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is fine. Raises StorageError."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether anything is there at the root."""

    @abstractmethod
    def path(self, name: str) -> str:
        """The file as `arrow_filesystem` names it."""

    @abstractmethod
    def url(self, name: str) -> str:
        """The file as DuckDB and messages name it."""

    @abstractmethod
    def arrow_filesystem(self) -> Any:
        """A pyarrow filesystem for `path`."""

    def write(self, name: str, data: bytes) -> None:
        """Writes one file atomically. Raises StorageError."""
        self.finish(self.stage(name, data))

    def finish(self, staged: Staged) -> None:
        """Publishes a staged file, or discards it on an error. Raises StorageError."""
        try:
            self.publish(staged)
        except BaseException:
            self.discard(staged)
            raise

    def read(self, name: str) -> bytes:
        """Contents of a file. Raises FileNotFoundError."""
        return self.read_many([name])[name]


class LocalStorage(Storage):
    """A folder on a disk."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(os.path.expanduser(root))

    def stage(self, name: str, data: bytes) -> Staged:
        return self.stage_with(name, lambda path: _write_bytes(path, data))

    def stage_with(self, name: str, write: Callable[[str], None]) -> Staged:
        """Like `stage`, the content being written by `write` to the path it is given."""
        folder, slash, base = name.rpartition("/")
        stem = base.rpartition(".")[0] or base
        temporary = f"{folder}{slash}.{stem}.{secrets.token_hex(4)}{_TEMPORARY_SUFFIX}"
        path = self.path(temporary)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write(path)
            _sync(path)
        except OSError as error:
            self._unlink(path)
            raise refused("write", self.path(name), error) from error
        except BaseException:
            self._unlink(path)
            raise
        return Staged(name, temporary=temporary)

    def publish(self, staged: Staged) -> None:
        assert staged.temporary is not None
        path = self.path(staged.name)
        try:
            os.replace(self.path(staged.temporary), path)
            _sync(os.path.dirname(path))
        except OSError as error:
            raise refused("write", path, error) from error

    def discard(self, staged: Staged) -> None:
        assert staged.temporary is not None
        self._unlink(self.path(staged.temporary))

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        try:
            return {name: Path(self.path(name)).read_bytes() for name in names}
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise refused("read", str(error.filename), error) from error

    def list_files(self, folder: str) -> list[str]:
        try:
            with os.scandir(self.path(folder)) as entries:
                found = [entry.name for entry in entries if entry.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise refused("read", self.path(folder), error) from error
        return sorted("/".join(filter(None, [folder, name])) for name in found)

    def remove(self, name: str) -> None:
        try:
            os.unlink(self.path(name))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise refused("remove", self.path(name), error) from error

    def exists(self) -> bool:
        return os.path.isdir(self.root) and bool(os.listdir(self.root))

    def path(self, name: str) -> str:
        return os.path.join(self.root, *name.split("/")) if name else self.root

    def url(self, name: str) -> str:
        return self.path(name)

    def arrow_filesystem(self) -> Any:
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem()

    @staticmethod
    def _unlink(path: str) -> None:
        # The file may never have come to be; the error that matters is already on its way.
        with contextlib.suppress(OSError):
            os.unlink(path)


class ObjectStorage(Storage):
    """A folder on anything fsspec knows: gs://, s3://, memory:// …"""

    def __init__(self, root: str) -> None:
        if os.environ.get("STORAGE_EMULATOR_HOST"):
            # Against an emulator gcsfs otherwise spends a minute asking for zonal buckets.
            os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        from fsspec.core import url_to_fs

        try:
            self.filesystem, base = url_to_fs(root)
        except (ValueError, ImportError) as error:
            raise StorageError(f"{root}: {one_line(error)}") from error
        self._base = base.rstrip("/")
        self.root = root.rstrip("/")

    def stage(self, name: str, data: bytes) -> Staged:
        return Staged(name, data=data)

    def publish(self, staged: Staged) -> None:
        assert staged.data is not None
        try:
            self.filesystem.pipe_file(self.path(staged.name), staged.data)
        # Every fsspec backend brings its own exceptions (HTTP, credentials, OSError).
        except Exception as error:
            raise refused("write", self.url(staged.name), error) from error

    def discard(self, staged: Staged) -> None:
        """Nothing was uploaded yet."""

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        paths = {self.path(name): name for name in names}
        if not paths:
            return {}
        found = self.filesystem.cat(list(paths), on_error="return")
        contents: dict[str, bytes] = {}
        for path, value in found.items():
            if isinstance(value, FileNotFoundError):
                raise value
            if isinstance(value, BaseException):
                raise refused("read", path, value) from value
            contents[paths[path]] = value
        return contents

    def list_files(self, folder: str) -> list[str]:
        path = self.path(folder)
        self.filesystem.invalidate_cache()
        try:
            entries = self.filesystem.ls(path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:  # see publish
            raise refused("read", self.url(folder), error) from error
        names = [e["name"].rstrip("/").rpartition("/")[2] for e in entries if e["type"] == "file"]
        return sorted("/".join(filter(None, [folder, name])) for name in names)

    def remove(self, name: str) -> None:
        try:
            self.filesystem.rm_file(self.path(name))
        except FileNotFoundError:
            pass
        except Exception as error:  # see publish
            raise refused("remove", self.url(name), error) from error

    def exists(self) -> bool:
        self.filesystem.invalidate_cache()
        try:
            return bool(self.filesystem.ls(self._base, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except Exception as error:  # see publish
            raise refused("read", self.root, error) from error

    def path(self, name: str) -> str:
        return f"{self._base}/{name}" if name else self._base

    def url(self, name: str) -> str:
        return self.filesystem.unstrip_protocol(self.path(name))

    def arrow_filesystem(self) -> Any:
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        return PyFileSystem(FSSpecHandler(self.filesystem))


def connect(root: str | os.PathLike[str]) -> Storage:
    """Storage at a path or at any fsspec URL."""
    text = os.fspath(root)
    if text.startswith("file://"):
        return LocalStorage(text.removeprefix("file://"))
    return ObjectStorage(text) if "://" in text else LocalStorage(text)


def is_temporary(name: str) -> bool:
    """Whether a file is one that `stage` left behind."""
    base = name.rpartition("/")[2]
    return base.startswith(".") and base.endswith(_TEMPORARY_SUFFIX)


def _write_bytes(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
