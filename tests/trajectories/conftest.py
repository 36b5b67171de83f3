"""A Google storage of the tests' own, and a clock that nobody waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.google_storage import GoogleStorage, serving
from trajectories import backoff


@pytest.fixture(scope="module")
def server() -> Iterator[GoogleStorage]:
    with serving(page=3) as google:
        yield google


@pytest.fixture
def google(server: GoogleStorage) -> GoogleStorage:
    """The server with one empty bucket, and no faults."""
    server.empty()
    server.bucket("out")
    server.reset()
    return server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing waits, but the clock of `backoff` goes on; what would have been waited."""
    import gcsfs.retry

    slept: list[float] = []

    async def soon(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: time.monotonic() + sum(slept))
    monkeypatch.setattr(gcsfs.retry, "asyncio", SimpleNamespace(sleep=soon))
    monkeypatch.setattr(backoff, "time", clock)
    return slept
