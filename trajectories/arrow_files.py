"""Files of an object store for pyarrow: opened without listing a folder."""

from __future__ import annotations

from typing import Any

from pyarrow import PythonFile
from pyarrow.fs import FSSpecHandler, PyFileSystem

from trajectories.remote_file import open_remote


class _Handler(FSSpecHandler):
    def open_input_file(self, path: str) -> Any:
        return PythonFile(open_remote(self.fs, path), mode="r")

    open_input_stream = open_input_file


def arrow_filesystem(filesystem: Any) -> PyFileSystem:
    """A pyarrow file system on an fsspec one."""
    return PyFileSystem(_Handler(filesystem))
