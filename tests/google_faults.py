"""What may go wrong between a client and Google's storage, request by request."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["bucket", "list", "meta", "get", "insert", "delete"]


@dataclass(frozen=True)
class Request:
    """What a client asks: of which bucket and, except for listings, of which object."""

    kind: Kind
    bucket: str
    name: str


@dataclass(frozen=True)
class Fault:
    """refuse: answer `status`, do nothing. drop: hang up, do nothing. lose: do it and hang up.
    cut: do it, answer half and hang up. slow: do it after `seconds`. hang: never answer."""

    effect: Literal["refuse", "drop", "lose", "cut", "slow", "hang"]
    status: int = 503
    seconds: float = 0.0


Plan = Callable[[Request], Fault | None]


def calm(request: Request) -> Fault | None:
    """No faults."""
    return None


def storm(seed: int, share: float, faults: Iterable[Fault] | None = None) -> Plan:
    """Of all requests so many meet a fault, drawn from what a network and a store may do."""
    kinds = tuple(faults or ALL_FAULTS)
    rng = random.Random(seed)
    return lambda request: rng.choice(kinds) if rng.random() < share else None


def deny(bucket: str, *kinds: Kind, prefix: str = "", status: int = 403) -> Plan:
    """The rights for some kinds of requests on some objects of a bucket are missing."""

    def plan(request: Request) -> Fault | None:
        ours = request.bucket == bucket and request.name.startswith(prefix)
        return Fault("refuse", status) if ours and request.kind in kinds else None

    return plan


ALL_FAULTS = (
    *(Fault("refuse", status) for status in (429, 500, 502, 503)),
    *(Fault("cut"), Fault("drop"), Fault("lose"), Fault("slow", seconds=0.05)),
)


def once(effect: Any, *kinds: str) -> Plan:
    """The first request of these kinds meets a fault."""
    left = [1]

    def plan(request: Request) -> Fault | None:
        if request.kind not in kinds or not left:
            return None
        left.pop()
        return Fault(effect)

    return plan


def said(status: int, request: Request) -> str:
    """The message of a refusal, as Google words it."""
    if status != 403:
        return {429: "Too Many Requests", 401: "Invalid Credentials"}.get(status, "Backend Error")
    right = {"insert": "create", "meta": "get"}.get(request.kind, request.kind)
    return (
        f"robot@project.iam.gserviceaccount.com does not have storage.objects.{right} access to "
        f"the Google Cloud Storage object. Permission 'storage.objects.{right}' denied on resource "
        "(or it may not exist)."
    )
