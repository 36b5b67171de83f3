"""Holding a dataset's lease while a run writes to it: taking it, renewing it, noticing its loss."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from trajectories.errors import DatasetError, LeaseError
from trajectories.lease import (
    BEAT_SECONDS,
    LEASES,
    STALE_SECONDS,
    Lease,
    Ticket,
    Verdict,
    judge,
    lease_from_json,
    lease_name,
    lease_to_json,
    next_number,
    number_of,
    process_lives,
    process_start,
    remaining,
    this_machine,
)
from trajectories.storage import Storage

_LOG = logging.getLogger(__name__)
_LOOK_EVERY = 2.0  # seconds, while another run's lease is watched
# What another run may still have under way when its lease is taken although it may live.
_GRACE_SECONDS = 5.0
# Where two may believe to have created a file, the later write is there by then.
_SETTLE_SECONDS = 3.0
_held: set[str] = set()  # tokens of this process


class HeldLease:
    """A lease that this process holds; renewed by a thread until `release`."""

    def __init__(self, storage: Storage, number: int, lease: Lease, new_root: bool) -> None:
        """Use `hold_lease`."""
        self._new_root = new_root
        self.ticket = Ticket(number, lease.token)
        self.on_lost: Callable[[str], None] | None = None
        self._storage = storage
        self._lease = lease
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="tapirus-lease", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Raises LeaseError when another run has taken over."""
        require_lease(self._storage, self.ticket)

    def release(self) -> None:
        """Gives the lease back, if it is still ours. Never raises: it would go stale anyway."""
        self._over.set()
        self._thread.join()
        _held.discard(self.ticket.token)
        with contextlib.suppress(DatasetError):
            self.require()
            remove_older(self._storage, self.ticket.number)
            self._storage.remove(lease_name(self.ticket.number))
            self._storage.prune(LEASES)
            if self._new_root:
                self._storage.prune("")  # nothing came of it

    def _renew(self) -> None:
        last = time.monotonic()
        while not self._over.wait(BEAT_SECONDS):
            try:
                self.require()
                self._lease = replace(self._lease, heartbeat=time.time(), beat=self._lease.beat + 1)
                name = lease_name(self.ticket.number)
                self._storage.write(name, lease_to_json(self._lease))
                last = time.monotonic()
            except LeaseError as error:
                self._lost(str(error))
                return
            except DatasetError as error:
                # Commits meet the same storage and tell of it. Others may think this run dead soon.
                if time.monotonic() - last > STALE_SECONDS:
                    self._lost(f"the lease could not be renewed for {STALE_SECONDS:g} s: {error}")
                    return

    def _lost(self, reason: str) -> None:
        if self.on_lost is not None:
            self.on_lost(reason)


@contextlib.contextmanager
def hold_lease(storage: Storage, take_over: bool = False) -> Iterator[HeldLease]:
    """Holds the dataset's lease for the length of the block.

    take_over: take it from a run that may live; that run stops before its next commit.

    Waits up to `STALE_SECONDS` for a sign of life where a run on another machine may have been
    killed. Raises LeaseError naming the run that holds it, StorageError where the folder cannot be
    written.
    """
    lease = take_lease(storage, take_over)
    try:
        yield lease
    finally:
        lease.release()


def take_lease(storage: Storage, take_over: bool = False) -> HeldLease:
    """See `hold_lease`; the caller releases it."""
    new = not os.path.isdir(storage.root)
    while True:
        names = storage.list_files(LEASES)
        current = read_lease(storage, next_number(names) - 1)
        dead = current is None or _wait_for(storage, *current, take_over)
        number = next_number(names)
        lease = _own_lease()
        _held.add(lease.token)
        if _create(storage, number, lease):
            break
        _held.discard(lease.token)
        # Another run was faster; it is the one to look at now.
    if not dead:
        time.sleep(_GRACE_SECONDS)
    held = HeldLease(storage, number, lease, new)
    try:
        held.require()
        # The one before stays for a while: its holder looks for it, and for its successor.
        remove_older(storage, number - 1)
    except BaseException:
        held.release()
        raise
    return held


def require_lease(storage: Storage, ticket: Ticket) -> None:
    """Raises LeaseError unless the ticket's lease is in force. Two small reads, no listing."""
    successor = read_lease(storage, ticket.number + 1)
    if successor is None:
        own = read_lease(storage, ticket.number)
        if own is not None and own[1] is not None and own[1].token == ticket.token:
            return
        successor = own
    by = f" by {_who(successor[1])}" if successor is not None and successor[1] else ""
    raise LeaseError(
        f"{storage.root} was taken over{by}: this run stops, what it has committed is kept"
    )


def read_lease(storage: Storage, number: int) -> tuple[int, Lease | None] | None:
    """A lease file: its number and what it says (None: unreadable); None where there is none."""
    try:
        return number, lease_from_json(storage.read(lease_name(number)))
    except (FileNotFoundError, NotADirectoryError):
        return None


def current_lease(storage: Storage) -> Lease | None:
    """The lease of the run that writes to a dataset or did when it died; None: none does."""
    names = storage.list_files(LEASES)
    found = read_lease(storage, next_number(names) - 1)
    return None if found is None else found[1]


def lease_verdict(lease: Lease) -> Verdict:
    """What `judge` says of a lease here and now."""
    return judge(lease, this_machine(), time.time(), _lives)


def remove_older(storage: Storage, number: int) -> None:
    """Removes the leases before a number."""
    for name in storage.list_files(LEASES):
        found = number_of(name)
        if found is not None and found < number:
            storage.remove(name)


def _wait_for(storage: Storage, number: int, lease: Lease | None, take_over: bool) -> bool:
    """Returns when the lease may be taken: True where its holder is surely dead.

    Raises LeaseError where it lives.
    """
    if take_over:
        return lease is not None and lease_verdict(lease) is Verdict.FREE
    end: float | None = None
    while True:
        verdict = Verdict.WATCH if lease is None else lease_verdict(lease)
        if verdict is Verdict.FREE:
            return True
        if verdict is Verdict.STALE:
            return False
        if verdict is Verdict.HELD:
            raise _refusal(storage, lease)
        # The clocks of two machines may differ: what counts from here on is this one alone.
        if end is None:
            left = STALE_SECONDS if lease is None else remaining(lease, time.time())
            end = time.monotonic() + left
            state = _state(storage, lease)
            _LOG.warning("%s; waiting up to %.0f s for a sign of life", state, left)
        if time.monotonic() >= end:
            return False
        time.sleep(_LOOK_EVERY)
        found = read_lease(storage, number)
        if found is None:
            return True  # it was given back
        if lease is None or found[1] is None:
            lease = found[1]
        elif (found[1].token, found[1].beat) != (lease.token, lease.beat):
            raise _refusal(storage, found[1])


def _create(storage: Storage, number: int, lease: Lease) -> bool:
    name = lease_name(number)
    if not storage.create(name, lease_to_json(lease)):
        return False
    if not storage.exclusive:
        time.sleep(_SETTLE_SECONDS)
        found = read_lease(storage, number)
        return found is not None and found[1] is not None and found[1].token == lease.token
    return True


def _own_lease() -> Lease:
    pid, now = os.getpid(), time.time()
    return Lease(
        token=secrets.token_hex(8),
        host=socket.gethostname(),
        machine=this_machine(),
        pid=pid,
        process_started=process_start(pid),
        started=now,
        heartbeat=now,
    )


def _lives(lease: Lease) -> bool:
    if lease.pid == os.getpid():
        return lease.token in _held  # one of an earlier run in this process, that failed to end
    return process_lives(lease.pid, lease.process_started)


def _refusal(storage: Storage, lease: Lease | None) -> LeaseError:
    return LeaseError(
        f"{_state(storage, lease)}: wait until it is done, stop it, or write to another folder "
        "(--take-over forces it to stop)"
    )


def _state(storage: Storage, lease: Lease | None) -> str:
    return f"{storage.root} is being written by {_who(lease)}"


def _who(lease: Lease | None) -> str:
    if lease is None:
        return "another run"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(lease.started))
    return f"process {lease.pid} on {lease.host} since {since}"
