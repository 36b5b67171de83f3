"""Files on anything fsspec knows: gs://, s3://, memory:// …

Every fsspec backend brings its own exceptions; they come out as StorageError.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from trajectories.errors import StorageError, one_line, refused
from trajectories.storage import Staged, Storage

# Stores whose fsspec client makes `create` a condition of the upload: If-None-Match on S3,
# ifGenerationMatch=0 on Google's; memory is of one process.
_CONDITIONAL = frozenset({"gs", "gcs", "s3", "s3a", "memory"})


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
        protocol = self.filesystem.protocol
        known = {protocol} if isinstance(protocol, str) else set(protocol)
        self.exclusive = bool(known & _CONDITIONAL)

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
        if len(paths) == 1:
            # `cat` of fsspec looks for wildcards first, and may list a folder for it.
            (path,) = paths
            found = {path: self._read_one(path)}
        else:
            found = self.filesystem.cat(list(paths), on_error="return")
        contents: dict[str, bytes] = {}
        for path, value in found.items():
            if isinstance(value, FileNotFoundError):
                raise value
            if isinstance(value, BaseException):
                raise refused("read", path, value) from value
            contents[paths[path]] = value
        return contents

    def _read_one(self, path: str) -> bytes | BaseException:
        try:
            content: bytes = self.filesystem.cat_file(path)
        except Exception as error:  # as `cat` returns it
            return error
        return content

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

    def create(self, name: str, data: bytes) -> bool:
        path = self.path(name)
        try:
            if self.exclusive:
                self.filesystem.pipe_file(path, data, mode="create")
            elif self.has(name):
                return False
            else:
                self.filesystem.pipe_file(path, data)
        except FileExistsError:
            # An upload whose answer was lost is tried again by the client, and meets itself.
            return self.read(name) == data
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
            names = self.filesystem.ls(self._base, detail=False)
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
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        return PyFileSystem(FSSpecHandler(self.filesystem))
