"""Reading and writing whole files atomically, on local disks and object stores.

Names are relative to a root and use forward slashes (``clips/a.parquet``). A file appears under its
name complete or not at all: on a local disk it is written under a temporary name in the same
folder, flushed to the disk and renamed; on an object store an upload under the final name is atomic
already.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trajectories.errors import refused

_TEMPORARY_SUFFIX = ".tmp"
# What a file system says that has no hard links.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


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
    def create(self, name: str, data: bytes) -> bool:
        """Writes a file unless one of that name is there; whether it was written.

        Of several processes that create the same name one wins; where `exclusive` is False that is
        not certain. Raises StorageError.
        """

    exclusive: bool = True  # whether `create` lets exactly one of several win

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether a file is there, asked of that file alone. Raises StorageError."""

    @abstractmethod
    def entries(self) -> list[str]:
        """Names of the files and folders at the root, sorted. Raises StorageError."""

    @abstractmethod
    def prune(self, folder: str) -> None:
        """Removes a folder that is empty, where folders are things of their own; never raises."""

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

    def create(self, name: str, data: bytes) -> bool:
        staged = self.stage(name, data)
        assert staged.temporary is not None
        path = self.path(name)
        try:
            # A link appears with its content, and fails where the name is taken.
            os.link(self.path(staged.temporary), path)
            _sync(os.path.dirname(path))
        except FileExistsError:
            return False
        except OSError as error:
            if isinstance(error, FileNotFoundError) and self.has(name):
                return False  # whoever created it has swept our temporary file
            if error.errno not in _NO_LINKS:
                raise refused("write", path, error) from error
            return self._create_in_place(path, data)
        finally:
            self.discard(staged)
        return True

    def _create_in_place(self, path: str, data: bytes) -> bool:
        """For file systems without links: there, but for a moment without its content."""
        try:
            _write_bytes(path, data)
            _sync(path)
        except FileExistsError:
            return False
        except OSError as error:
            raise refused("write", path, error) from error
        return True

    def has(self, name: str) -> bool:
        return os.path.isfile(self.path(name))

    def entries(self) -> list[str]:
        try:
            return sorted(os.listdir(self.root))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise refused("read", self.root, error) from error

    def prune(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(self.path(folder))

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


def connect(root: str | os.PathLike[str]) -> Storage:
    """Storage at a path or at any fsspec URL."""
    from trajectories.object_storage import ObjectStorage

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
