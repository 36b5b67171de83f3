"""Files of an object store for DuckDB: opened without listing a folder, asked about once.

Given the client itself, DuckDB asks it for a file's size again and again, and gcsfs lists a folder
each time.
"""

from __future__ import annotations

import glob
from datetime import UTC, datetime
from typing import IO, Any

from fsspec import AbstractFileSystem

from trajectories.remote_file import open_remote


class SqlFiles(AbstractFileSystem):
    """Reads the files of another fsspec file system, which do not change."""

    cachable = False

    def __init__(self, filesystem: Any) -> None:
        super().__init__()
        self.protocol = filesystem.protocol
        self._filesystem = filesystem
        self._sizes: dict[str, int] = {}

    def open(self, path: str, mode: str = "rb", *rest: Any, **named: Any) -> IO[bytes]:
        """Raises FileNotFoundError, StorageError, and what other stores' clients raise."""
        if mode != "rb":
            raise PermissionError(f"{path} is only read")
        path = self._filesystem._strip_protocol(path)
        file = open_remote(self._filesystem, path)
        self._sizes[path] = file.seek(0, 2)
        file.seek(0)
        return file

    def info(self, path: str, **named: Any) -> dict[str, Any]:
        """What is known of a file since it was opened."""
        path = self._filesystem._strip_protocol(path)
        if path not in self._sizes:
            self.open(path).close()
        return {"name": path, "size": self._sizes[path], "type": "file"}

    def modified(self, path: str) -> datetime:
        """Always the same: what is committed stays as it is."""
        return datetime.fromtimestamp(0, UTC)

    def glob(self, path: str, **named: Any) -> list[str]:
        """Names that stand for themselves are not looked for."""
        if glob.has_magic(path):
            return list(self._filesystem.glob(path))
        return [self._filesystem._strip_protocol(path)]

    def unstrip_protocol(self, name: str) -> str:
        return str(self._filesystem.unstrip_protocol(name))
