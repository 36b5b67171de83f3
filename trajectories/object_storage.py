"""Files on anything fsspec knows: gs://, s3://, memory:// …

Every fsspec backend brings its own exceptions; they come out as StorageError, those that may pass
after some attempts (see `backoff`). Every call may be made twice without harm: an upload of the
same bytes, a removal, a file created by an attempt whose answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from trajectories.backoff import may_pass, patiently
from trajectories.errors import StorageError, one_line, refused
from trajectories.remote_file import client_of
from trajectories.storage import Staged, Storage

T = TypeVar("T")

# Stores whose fsspec client makes `create` a condition of the upload: If-None-Match on S3,
# ifGenerationMatch=0 on Google's; memory is of one process.
_CONDITIONAL = frozenset({"gs", "gcs", "s3", "s3a", "memory"})


class ObjectStorage(Storage):
    """A folder on anything fsspec knows: gs://, s3://, memory:// …"""

    def __init__(self, root: str) -> None:
        try:
            self.filesystem, base = client_of(root)
        except (ValueError, ImportError) as error:
            raise StorageError(f"{root}: {one_line(error)}") from error
        self._base = base.rstrip("/")
        self.root = root.rstrip("/")
        protocol = self.filesystem.protocol
        known = {protocol} if isinstance(protocol, str) else set(protocol)
        self.exclusive = bool(known & _CONDITIONAL)

    def stage(self, name: str, data: bytes) -> Staged:
        return Staged(name, data=data)

    def publish(self, staged: Staged) -> None:
        assert staged.data is not None
        path, data = self.path(staged.name), staged.data
        try:
            self._patiently(staged.name, lambda: self.filesystem.pipe_file(path, data))
        # Every fsspec backend brings its own exceptions (HTTP, credentials, OSError).
        except Exception as error:
            raise refused("write", self.url(staged.name), error) from error

    def discard(self, staged: Staged) -> None:
        """Nothing was uploaded yet."""

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        paths = {self.path(name): name for name in names}
        if not paths:
            return {}
        # `cat` of fsspec looks for wildcards first, and may list a folder for a single name.
        together = self.filesystem.cat(list(paths), on_error="return") if len(paths) > 1 else {}
        contents: dict[str, bytes] = {}
        for path, name in paths.items():
            value = together.get(path)
            if value is None or (isinstance(value, Exception) and may_pass(value)):
                value = self._read_one(path)
            if isinstance(value, FileNotFoundError):
                raise value
            if isinstance(value, BaseException):
                raise refused("read", self.url(name), value) from value
            contents[name] = value
        return contents

    def _read_one(self, path: str) -> bytes | BaseException:
        try:
            url = self.filesystem.unstrip_protocol(path)
            content: bytes = patiently(url, lambda: self.filesystem.cat_file(path))
        except Exception as error:  # as `cat` returns it
            return error
        return content

    def list_files(self, folder: str) -> list[str]:
        path = self.path(folder)
        self.filesystem.invalidate_cache()
        try:
            entries = self._patiently(folder, lambda: self.filesystem.ls(path, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:  # see publish
            raise refused("read", self.url(folder), error) from error
        names = [e["name"].rstrip("/").rpartition("/")[2] for e in entries if e["type"] == "file"]
        return sorted("/".join(filter(None, [folder, name])) for name in names)

    def remove(self, name: str) -> None:
        path = self.path(name)
        try:
            self._patiently(name, lambda: self.filesystem.rm_file(path))
        except FileNotFoundError:
            pass
        except Exception as error:  # see publish
            raise refused("remove", self.url(name), error) from error

    def create(self, name: str, data: bytes) -> bool:
        path = self.path(name)
        try:
            if not self.exclusive and self.has(name):
                return False
            how = {"mode": "create"} if self.exclusive else {}
            self._patiently(name, lambda: self.filesystem.pipe_file(path, data, **how))
        except FileExistsError:
            # An upload whose answer was lost is tried again, and meets itself.
            try:
                return self.read(name) == data
            except FileNotFoundError:
                return False  # it is gone again
        except Exception as error:  # see publish
            raise refused("write", self.url(name), error) from error
        return True

    def has(self, name: str) -> bool:
        try:
            self.read(name)
        except FileNotFoundError:
            return False
        return True

    def entries(self) -> list[str]:
        self.filesystem.invalidate_cache()
        try:
            names = self._patiently("", lambda: self.filesystem.ls(self._base, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:  # see publish
            raise refused("read", self.root, error) from error
        return sorted(name.rstrip("/").rpartition("/")[2] for name in names)

    def prune(self, folder: str) -> None:
        """Folders are names here: without files there is none."""

    def path(self, name: str) -> str:
        return f"{self._base}/{name}" if name else self._base

    def url(self, name: str) -> str:
        return self.filesystem.unstrip_protocol(self.path(name))

    def arrow_filesystem(self) -> Any:
        from trajectories.arrow_files import arrow_filesystem

        return arrow_filesystem(self.filesystem)

    def _patiently(self, name: str, call: Callable[[], T]) -> T:
        return patiently(self.url(name), call)
