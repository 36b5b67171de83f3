"""Download of one file with the standard library: resumed, verified, renamed when whole."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.checkpoints.digest import verify_or_record
from models.checkpoints.errors import CheckpointError
from models.checkpoints.progress import Progress

_CHUNK = 1 << 18
_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})


class _AttemptError(Exception):
    """One attempt failed, in a way that the next may not."""


@dataclass(frozen=True)
class _Part:
    """The file as far as it has come, and the tag of the version it is of."""

    path: Path

    @property
    def tag_path(self) -> Path:
        return self.path.with_name(self.path.name + ".etag")

    def resumable(self) -> tuple[int, str]:
        """Bytes that are here and their version; nothing without a version to ask for."""
        if self.path.exists() and self.tag_path.exists():
            return self.path.stat().st_size, self.tag_path.read_text()
        return 0, ""

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.tag_path.unlink(missing_ok=True)


def download(
    url: str,
    target: Path,
    *,
    progress: Progress | None = None,
    min_bytes: int = 0,
    attempts: int = 4,
    backoff: float = 1.0,
    timeout: float = 30.0,
) -> str:
    """Fetch ``url`` to ``target`` and record its digest in ``<target>.sha256``.

    What arrives is kept in ``<target>.part`` and continued by the next attempt, or the next
    call, if the server still has the same version. Processes that want the same file take
    turns, and the later ones find it there. Waits ``backoff`` seconds before the second
    attempt, twice as long before each further one.

    Args:
        progress: called with bytes so far and bytes in total (None if not known).
        min_bytes: refuse a shorter file.

    Returns:
        The SHA-256, 64 hex digits.

    Raises:
        CheckpointError: unreachable, refused, or damaged on the way.
    """
    part = _Part(target.with_name(target.name + ".part"))
    by_hand = f"download {url} by hand and put it at {target}, or pass --checkpoint FILE"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(target):
            if not target.exists():
                _attempts(url, part, progress, attempts, backoff, timeout)
                _check_size(part, url, min_bytes)
                os.replace(part.path, target)
                part.discard()
            return verify_or_record(target)
    except _AttemptError as error:
        raise CheckpointError(f"{error}; {by_hand}") from None
    except OSError as error:
        raise CheckpointError(f"cannot write {target}: {error.strerror or error}") from None


def _attempts(
    url: str,
    part: _Part,
    progress: Progress | None,
    attempts: int,
    backoff: float,
    timeout: float,
) -> None:
    for attempt in range(attempts):
        try:
            _fetch(url, part, progress, timeout)
            return
        except _AttemptError:
            if attempt == attempts - 1:
                raise
            time.sleep(backoff * 2**attempt)


def _fetch(url: str, part: _Part, progress: Progress | None, timeout: float) -> None:
    have, tag = part.resumable()
    with _open(url, have, tag, part, timeout) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        total = _total(response, have, resumed)
        if resumed and (total is None or response.headers.get("ETag", tag) != tag):
            part.discard()
            raise _AttemptError(f"{url} was not continued where it had stopped")
        if not resumed:
            have = 0
            part.discard()
            new_tag = response.headers.get("ETag", "")
            if new_tag.startswith('"'):  # a weak tag does not promise the same bytes
                part.tag_path.write_text(new_tag)
        done = _receive(response, part, have, total, progress)
        expected_md5 = _stated_md5(response)
    if total is not None and done != total:
        raise _AttemptError(f"only {done} of {total} bytes of {url} arrived")
    if expected_md5 is not None and _md5(part.path) != expected_md5:
        part.discard()
        raise _AttemptError(f"{url} arrived damaged")


def _open(url: str, have: int, tag: str, part: _Part, timeout: float) -> Any:
    headers = {"User-Agent": "tapirus", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.discard()
        elif error.code not in _WORTH_RETRYING:
            raise CheckpointError(
                f"{url}: the server says {error.code} {error.reason}; "
                "get the file elsewhere and pass --checkpoint FILE"
            ) from None
        raise _AttemptError(f"{url}: the server says {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _unreachable(url, error.reason) from None
    except (http.client.HTTPException, OSError) as error:
        raise _unreachable(url, error) from None


def _unreachable(url: str, reason: object) -> _AttemptError:
    host = urllib.parse.urlsplit(url).hostname
    return _AttemptError(f"cannot reach {host} ({str(reason) or type(reason).__name__})")


def _total(response: Any, have: int, resumed: bool) -> int | None:
    """Size of the whole file; None if unknown, or if the answer does not continue at ``have``."""
    if resumed:
        stated = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", stated)
        if match is None or int(match[1]) != have or int(match[2]) + 1 != int(match[3]):
            return None
        return int(match[3])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _receive(
    response: Any, part: _Part, have: int, total: int | None, progress: Progress | None
) -> int:
    done = have
    with part.path.open("ab" if have else "wb") as file:
        while True:
            if progress is not None:
                progress(done, total)
            try:
                chunk = response.read(_CHUNK)
            except (http.client.HTTPException, OSError) as error:
                raise _unreachable(response.url, error) from None
            if not chunk:
                return done
            file.write(chunk)
            done += len(chunk)


def _stated_md5(response: Any) -> bytes | None:
    """Cloud Storage states the MD5 of what it sends: ``x-goog-hash: crc32c=…,md5=…``."""
    for header in response.headers.get_all("x-goog-hash", []):
        for item in header.split(","):
            kind, _, value = item.strip().partition("=")
            if kind == "md5":
                return base64.b64decode(value)
    return None


def _md5(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()


def _check_size(part: _Part, url: str, min_bytes: int) -> None:
    size = part.path.stat().st_size
    if size < min_bytes:
        part.discard()
        raise CheckpointError(
            f"{url}: {size} bytes arrived where weights have at least {min_bytes}; "
            "a proxy or login page may have answered: open the URL in a browser"
        )


@contextlib.contextmanager
def _one_at_a_time(target: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
