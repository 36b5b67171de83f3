"""Files of object stores: the client that reaches them, and reading one in blocks.

gcsfs by itself lists a folder whenever it opens a file, keeps what it listed for ever, waits for
ever for a server that says nothing, and asks for each few kilobytes that a decoder wants.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from typing import IO, Any

from trajectories.backoff import patiently
from trajectories.errors import refused

_GOOGLE = ("gs://", "gcs://")
# Whether gcsfs looks for zonal buckets. It then speaks another protocol, asks what a bucket is
# before the first call, and takes a minute for it where nobody answers.
_ZONAL = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"
_NOWHERE = logging.NullHandler()
_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 20.0  # without a byte of an answer
BLOCK = 2**20
_BLOCKS = 16  # that stay in memory: interleaved streams and indexes are read in turns


def client_of(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path within it.

    Raises ValueError for a protocol that nobody knows, ImportError for one whose client is missing.
    """
    from fsspec.core import url_to_fs

    if not url.startswith(_GOOGLE) or "::" in url:
        filesystem, path = url_to_fs(url)
        return filesystem, path
    options = _google_options()
    if os.environ.setdefault(_ZONAL, "false").lower() in ("true", "1"):
        filesystem, path = url_to_fs(url, **options)
        return filesystem, path
    # By its name: who imported gcsfs before the variable was set has made the other the default.
    from gcsfs.core import GCSFileSystem

    options |= GCSFileSystem._get_kwargs_from_urls(url)
    return GCSFileSystem(**options), GCSFileSystem._strip_protocol(url)


def _google_options() -> dict[str, Any]:
    # It logs a trace of every call that it gives up; the error is raised as well.
    logging.getLogger("gcsfs").addHandler(_NOWHERE)
    from aiohttp import ClientTimeout

    # Without these a request waits for ever: gcsfs switches the time-outs of aiohttp off.
    limits = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
    options: dict[str, Any] = {"requests_timeout": limits, "use_listings_cache": False}
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        options["token"] = "anon"
    return options


def open_remote(filesystem: Any, path: str, block: int = BLOCK) -> IO[bytes]:
    """A file for reading, at any place.

    Of Google's storage it costs one request for its size and one for each block; requests that fail
    are tried again, and what it raises is FileNotFoundError or StorageError. Files of other stores
    are those of their clients, with errors of their own.
    """
    if filesystem.unstrip_protocol(path).startswith(_GOOGLE):
        return RemoteFile(filesystem, path, block)  # type: ignore[return-value]
    handle: IO[bytes] = filesystem.open(path, "rb")
    return handle


class RemoteFile(io.RawIOBase):
    """One object of Google's storage as it was when it was opened; see `open_remote`."""

    def __init__(self, filesystem: Any, path: str, block: int) -> None:
        from fsspec.caching import BlockCache

        self._url: str = filesystem.unstrip_protocol(path)
        bucket, key, generation = filesystem.split_path(path)
        wanted = {"generation": generation, "fields": "size,generation"}
        about = self._ask(
            lambda: filesystem.call("GET", "b/{}/o/{}", bucket, key, json_out=True, **wanted)
        )
        self.size = int(about["size"])
        self._at = 0

        def fetch(start: int, end: int) -> bytes:
            end = min(end, self.size)
            # Of this generation only: half of one file and half of its successor is no file.
            return self._ask(
                lambda: filesystem.cat_file(path, start, end, generation=about.get("generation"))
            )

        self._cache = BlockCache(block, fetch, self.size, _BLOCKS)

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            return patiently(self._url, call)
        except FileNotFoundError:
            raise
        except Exception as error:  # HTTP, time-outs, credentials
            raise refused("read", self._url, error) from error

    def read(self, size: int | None = -1) -> bytes:
        end = self.size if size is None or size < 0 else min(self._at + size, self.size)
        data: bytes = self._cache._fetch(self._at, end) if end > self._at else b""
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"{self._url}: no place before the file's start")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
