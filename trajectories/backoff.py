"""Trying again what may pass: decided by a pure function, waited for with full jitter.

The clients of object stores try again by themselves, each what it knows. This is for what is left,
and for stores that stay away longer than a client is patient. Google's (gcsfs) makes six attempts
within half a minute at statuses 408, 429 and 500 to 504 and at connections that break, and nothing
at time-outs or a metadata server that does not answer.
"""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

# Too early, too much, or the store's own trouble. 410: an upload in parts was lost, begin anew.
_PASSING_STATUS = frozenset({408, 410, 425, 429, 500, 502, 503, 504})
_PASSING_ERRNO = frozenset({
    *(errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE),
    *(errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EAGAIN),
})  # fmt: skip
# Package and class, of errors that carry no status: their clients are not imported for asking.
_PASSING_CLASSES = frozenset({
    "builtins.TimeoutError",
    "builtins.ConnectionError",
    "aiohttp.ClientConnectionError",  # refused, reset, timed out
    "aiohttp.ClientPayloadError",  # an answer that was cut off
    "gcsfs.ChecksumError",
    "google.TransportError",  # the metadata server, which hands out credentials
    "json.JSONDecodeError",  # an answer that was cut off, or a proxy's page
    "requests.ConnectionError",  # what gcsfs makes of 502
    "requests.Timeout",
    "botocore.HTTPClientError",
})  # fmt: skip
# Not the seeded generator: processes that were forked together would wait in step.
_CHANCE = random.SystemRandom().random


@dataclass(frozen=True)
class Patience:
    """How often and how long: attempts in all; seconds of the first and the longest wait; seconds
    after which no other attempt begins."""

    attempts: int = 4
    first: float = 1.0
    longest: float = 16.0
    total: float = 60.0


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error of a store's client stands for; None where it tells of none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        response = response.get("ResponseMetadata", {})
        found = response.get("HTTPStatusCode")
    else:
        found = getattr(response, "status_code", None)
    for name in ("code", "status"):  # gcsfs, aiohttp
        found = getattr(error, name, None) if found is None else found
    try:
        return int(found) if found is not None else _told_status(error)
    except (TypeError, ValueError):
        return None


def _told_status(error: BaseException) -> int | None:
    # gcsfs makes a bare OSError of 403, and keeps what the store said.
    return 403 if type(error) is OSError and str(error).startswith("Forbidden") else None


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment: not where rights or names are wrong."""
    status = status_of(error)
    if status is not None:
        return status in _PASSING_STATUS
    if isinstance(error, OSError) and error.errno in _PASSING_ERRNO:
        return True
    return any(
        f"{kind.__module__.partition('.')[0]}.{kind.__name__}" in _PASSING_CLASSES
        for kind in type(error).__mro__
    )


def wait_before(attempt: int, patience: Patience, chance: float) -> float:
    """Seconds before attempt 2, 3, …: anything up to a bound that doubles. chance: 0 to 1."""
    return chance * min(patience.longest, patience.first * 2.0 ** (attempt - 2))


def patiently(
    what: str,
    call: Callable[[], T],
    patience: Patience | None = None,
    sleep: Callable[[float], None] | None = None,
    clock: Callable[[], float] | None = None,
    chance: Callable[[], float] = _CHANCE,
) -> T:
    """The result of `call`, tried again while it fails with what may pass. what: for the log."""
    patience = patience or PATIENCE
    clock = clock or time.monotonic
    begin = clock()
    attempt = 1
    while True:
        try:
            return call()
        except Exception as error:
            attempt += 1
            wait = wait_before(attempt, patience, chance())
            late = clock() - begin + wait > patience.total
            if attempt > patience.attempts or late or not may_pass(error):
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            _LOG.warning("%s: %s; trying again in %.1f s", what, reason, wait)
        (sleep or time.sleep)(wait)


PATIENCE = Patience()
