"""What is tried again, how often, and how long is waited in between."""

from __future__ import annotations

import errno
import json

import aiohttp
import google.auth.exceptions as google_auth
import pytest
import requests
from fsspec.exceptions import FSTimeoutError
from gcsfs.retry import ChecksumError, HttpError

from trajectories.backoff import Patience, may_pass, patiently, status_of, wait_before

PASSES: list[tuple[BaseException, bool]] = [
    *((HttpError({"code": code}), True) for code in (408, 410, 429, 500, 502, 503, 504)),
    *((HttpError({"code": str(code)}), True) for code in (429, 503)),
    *((HttpError({"code": code}), False) for code in (400, 401, 403, 404, 409, 412, 416, 501)),
    (OSError("Forbidden: https://x\nrobot has no right"), False),  # gcsfs's 403
    (FileNotFoundError("b/x/o/y"), False),
    (FileExistsError("b/x/o/y"), False),
    (PermissionError(errno.EACCES, "no"), False),
    (OSError(errno.ENOSPC, "full"), False),
    (requests.exceptions.ProxyError(), True),  # gcsfs's 502
    (requests.exceptions.ChunkedEncodingError(), False),  # gcsfs does not read with requests
    (aiohttp.ClientPayloadError("not all data came"), True),
    (aiohttp.ServerDisconnectedError(), True),
    (aiohttp.SocketTimeoutError(), True),
    (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), True),
    (aiohttp.InvalidURL("x"), False),
    (FSTimeoutError(), True),
    (TimeoutError(), True),
    (ConnectionResetError(), True),
    (OSError(errno.EHOSTUNREACH, "no route"), True),
    (ChecksumError("md5"), True),
    (json.JSONDecodeError("no JSON", "<html>", 0), True),
    (google_auth.TransportError("the metadata server is away"), True),
    (google_auth.RefreshError("invalid_grant"), False),
    (google_auth.DefaultCredentialsError("log in"), False),
    (ValueError("Bad Request"), False),
    (RuntimeError("503 Service Unavailable"), False),
]


@pytest.mark.parametrize(
    "error, passes", PASSES, ids=lambda v: repr(v) if isinstance(v, BaseException) else ""
)
def test_which_errors_may_pass(error: BaseException, passes: bool) -> None:
    assert may_pass(error) is passes


class BotocoreClientError(Exception):
    def __init__(self, status: int) -> None:
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


@pytest.mark.parametrize("error, status", [
    (HttpError({"code": "429"}), 429),
    (OSError("Forbidden: https://x"), 403),
    (OSError("other"), None),
    (BotocoreClientError(503), 503),
    (ValueError(), None),
])  # fmt: skip
def test_the_status_behind_an_error(error: BaseException, status: int | None) -> None:
    assert status_of(error) == status


def test_waits_double_up_to_a_bound_and_are_drawn_from_all_of_it() -> None:
    patience = Patience(first=1.0, longest=5.0)
    assert [wait_before(n, patience, 1.0) for n in (2, 3, 4, 5, 6)] == [1, 2, 4, 5, 5]
    assert wait_before(4, patience, 0.0) == 0
    assert wait_before(4, patience, 0.25) == 1


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def tried(failures: list[BaseException], patience: Patience, takes: float = 0.0) -> tuple[str, int]:
    """What comes of a call that fails so often, and how often it was made."""
    clock, calls = Clock(), 0

    def call() -> str:
        nonlocal calls
        calls += 1
        clock.now += takes
        if calls <= len(failures):
            raise failures[calls - 1]
        return "done"

    try:
        return patiently("x", call, patience, clock.sleep, clock, lambda: 0.5), calls
    except Exception as error:
        return type(error).__name__, calls


def test_attempts_are_bounded_in_number_and_in_time() -> None:
    away: list[BaseException] = [TimeoutError()] * 9
    patience = Patience(attempts=4, first=1.0, longest=16.0, total=60.0)
    assert tried([], patience) == ("done", 1)
    assert tried(away[:3], patience) == ("done", 4)
    assert tried(away, patience) == ("TimeoutError", 4)
    assert tried(away, patience, takes=33.0) == ("TimeoutError", 2)
    assert tried(away, patience, takes=61.0) == ("TimeoutError", 1)


def test_what_cannot_pass_is_not_tried_again() -> None:
    assert tried([HttpError({"code": 403})], Patience()) == ("HttpError", 1)
    assert tried([TimeoutError(), FileNotFoundError()], Patience()) == ("FileNotFoundError", 2)
