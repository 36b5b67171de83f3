"""Who may write: the decisions alone, then leases on a disk and on an object store."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.trajectories.made_clips import SPEC, random_clip, write_dataset
from trajectories import (
    LeaseError,
    ShardWriter,
    StorageError,
    committed_shards,
    create_dataset,
    encode_clip,
    leasing,
    open_dataset,
    sweep,
)
from trajectories.lease import (
    STALE_SECONDS,
    Lease,
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
from trajectories.leasing import current_lease, hold_lease, require_lease, take_lease
from trajectories.storage import Storage, connect

HERE = "this machine"
LEASE = Lease("a" * 16, "host", HERE, 1234, "99", started=1000.0, heartbeat=2000.0)
ELSEWHERE = dataclasses.replace(LEASE, machine="another")


@pytest.mark.parametrize("age, lives, verdict", [
    (0, True, Verdict.HELD),
    (0, False, Verdict.FREE),  # however fresh its heartbeat is
    (1e9, True, Verdict.HELD),  # suspended, or its disk hangs
    (-1e9, False, Verdict.FREE),
])  # fmt: skip
def test_on_the_same_machine_the_process_decides(age: float, lives: bool, verdict: Verdict) -> None:
    assert judge(LEASE, HERE, 2000.0 + age, lambda lease: lives) is verdict


@pytest.mark.parametrize("age, verdict, left", [
    (0, Verdict.WATCH, STALE_SECONDS),
    (STALE_SECONDS - 1, Verdict.WATCH, 1),
    (STALE_SECONDS, Verdict.STALE, 0),
    (1e9, Verdict.STALE, 0),
    (-1e9, Verdict.WATCH, STALE_SECONDS),  # its clock is years ahead
])  # fmt: skip
@pytest.mark.parametrize("lease", [ELSEWHERE, dataclasses.replace(LEASE, process_started="")])
def test_elsewhere_the_heartbeat_decides(
    lease: Lease, age: float, verdict: Verdict, left: float
) -> None:
    def never(lease: Lease) -> bool:
        raise AssertionError("that number means another process here")

    assert judge(lease, HERE, 2000.0 + age, never) is verdict
    assert remaining(lease, 2000.0 + age) == left


def test_names_and_numbers() -> None:
    assert number_of(lease_name(7)) == 7
    assert [number_of(name) for name in ("lease/x.json", "lease/.000001.ab.tmp", "other")] == [
        None,
        None,
        None,
    ]
    assert next_number([]) == 1
    assert next_number([lease_name(2), lease_name(11), "lease/notes"]) == 12


def test_a_lease_survives_json_and_a_cut_file_is_none() -> None:
    assert lease_from_json(lease_to_json(ELSEWHERE)) == ELSEWHERE
    assert lease_from_json(lease_to_json(LEASE)[:50]) is None
    assert lease_from_json(b"[]") is None
    assert lease_from_json(json.dumps({"token": "x"}).encode()) is None


def test_a_process_is_known_by_number_and_start() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_start(child.pid)
    assert started
    assert process_lives(child.pid, started)
    assert not process_lives(child.pid, "1")  # the number is used again
    child.kill()
    end = time.monotonic() + 10
    while process_lives(child.pid, started) and time.monotonic() < end:
        time.sleep(0.01)
    assert not process_lives(child.pid, started)  # not even while it is a zombie
    child.communicate()
    assert not process_lives(child.pid, started)


@pytest.fixture(params=["disk", "memory", "unconditional"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Storage:
    """A folder, an object store, and one whose uploads know no conditions."""
    made = connect(tmp_path / "d" if request.param == "disk" else f"memory://{tmp_path.name}")
    if request.param == "unconditional":
        made.exclusive = False
        monkeypatch.setattr(leasing, "_SETTLE_SECONDS", 0.05)
    return made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenths of seconds where there are seconds."""
    monkeypatch.setattr(leasing, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(leasing, "STALE_SECONDS", 0.4)
    monkeypatch.setattr(leasing, "_LOOK_EVERY", 0.05)
    monkeypatch.setattr(leasing, "_GRACE_SECONDS", 0.05)
    monkeypatch.setattr(leasing, "remaining", lambda lease, now: remaining(lease, now, stale=0.4))
    monkeypatch.setattr(leasing, "judge", lambda *arguments: judge(*arguments, stale=0.4))


def put(storage: Storage, lease: Lease, number: int = 1) -> None:
    storage.write(lease_name(number), lease_to_json(lease))


def test_taken_given_back_and_nothing_stays(storage: Storage) -> None:
    with hold_lease(storage) as lease:
        found = current_lease(storage)
        assert found is not None
        assert (found.token, found.pid) == (lease.ticket.token, os.getpid())
        assert storage.list_files("lease") == ["lease/000001.json"]
        lease.require()
    assert storage.entries() == []
    assert current_lease(storage) is None
    with pytest.raises(LeaseError):
        require_lease(storage, lease.ticket)


def test_a_folder_that_was_there_stays_with_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with hold_lease(connect(tmp_path / "empty")):
        pass
    assert (tmp_path / "empty").is_dir()
    with hold_lease(connect(tmp_path / "new")):
        (tmp_path / "new" / "file").touch()
    assert (tmp_path / "new" / "file").exists()


def test_the_second_is_refused_in_one_line(storage: Storage) -> None:
    with hold_lease(storage) as first:
        with pytest.raises(LeaseError) as caught, hold_lease(storage):
            raise AssertionError("two runs at once")
        first.require()
    text = str(caught.value)
    found = [storage.root, f"process {os.getpid()} on ", " since 20", "--take-over", "wait"]
    assert all(word in text for word in found), text
    assert "\n" not in text


def test_a_killed_run_of_this_machine_is_taken_over_at_once(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(seconds: float) -> None:
        assert not storage.exclusive, "nothing to wait for"

    monkeypatch.setattr(leasing.time, "sleep", forbidden)
    put(storage, dataclasses.replace(LEASE, machine=this_machine(), heartbeat=time.time()))
    with hold_lease(storage) as lease:
        assert lease.ticket.number == 2
    assert storage.list_files("lease") == []


def test_a_run_of_this_process_that_failed_to_end_is_no_hindrance(storage: Storage) -> None:
    put(storage, dataclasses.replace(
        leasing._own_lease(), token="b" * 16
    ))  # fmt: skip
    with hold_lease(storage) as lease:
        lease.require()


def test_a_silent_run_elsewhere_is_taken_over_in_bounded_time(
    storage: Storage, quick: None
) -> None:
    put(storage, dataclasses.replace(ELSEWHERE, heartbeat=time.time()))
    start = time.monotonic()
    with hold_lease(storage) as lease:
        assert 0.2 < time.monotonic() - start < 5
        assert lease.ticket.number == 2


def test_a_lease_of_yesterday_is_taken_over_without_watching(storage: Storage, quick: None) -> None:
    put(storage, dataclasses.replace(ELSEWHERE, heartbeat=time.time() - 86400))
    start = time.monotonic()
    with hold_lease(storage):
        assert time.monotonic() - start < 0.3


def test_a_living_run_elsewhere_is_noticed_by_its_next_heartbeat_whatever_its_clock(
    storage: Storage, quick: None
) -> None:
    lease = dataclasses.replace(ELSEWHERE, heartbeat=time.time() + 5000)
    put(storage, lease)
    beat = threading.Timer(0.15, put, [storage, dataclasses.replace(lease, beat=1)])
    beat.start()
    with pytest.raises(LeaseError, match="process 1234 on host since"), hold_lease(storage):
        raise AssertionError("two runs at once")
    beat.join()


def test_a_lease_that_cannot_be_read_is_watched_like_one_of_elsewhere(
    storage: Storage, quick: None
) -> None:
    storage.write(lease_name(1), b"{")
    with hold_lease(storage) as lease:
        assert lease.ticket.number == 2


def test_the_heartbeat_goes_on_and_shows_life(storage: Storage, quick: None) -> None:
    with hold_lease(storage):
        seen = set()
        end = time.monotonic() + 5
        while len(seen) < 3 and time.monotonic() < end:
            found = current_lease(storage)
            assert found is not None
            seen.add(found.beat)
            time.sleep(0.02)
    assert len(seen) >= 3


def test_who_is_taken_over_hears_of_it_and_loses_its_next_commit(
    storage: Storage, quick: None
) -> None:
    create_dataset(storage.root, SPEC)
    with hold_lease(storage) as first:
        heard: list[str] = []
        first.on_lost = heard.append
        with hold_lease(storage, take_over=True) as second:
            with ShardWriter(storage.root, "late") as writer:
                writer.add(encode_clip(random_clip(1)))
                with pytest.raises(LeaseError, match="was taken over by process"):
                    writer.commit(guard=first.require)
            assert committed_shards(storage.root) == {}
            with ShardWriter(storage.root, "good") as writer:
                writer.add(encode_clip(random_clip(2)))
                writer.commit(guard=second.require)
            end = time.monotonic() + 5
            while not heard and time.monotonic() < end:
                time.sleep(0.02)
            assert "was taken over by process" in heard[0]
            sweep(storage.root)
            assert len(list(open_dataset(storage.root))) == 1
    assert storage.list_files("lease") == []


def test_of_many_at_once_one_wins(storage: Storage) -> None:
    start, winners, losers = threading.Barrier(6), list[Any](), list[Exception]()

    def run() -> None:
        start.wait()
        try:
            winners.append(take_lease(connect(storage.root)))
        except LeaseError as error:
            losers.append(error)

    if not storage.exclusive:
        pytest.skip("such a store promises it for runs that start apart")
    put(storage, dataclasses.replace(LEASE, machine=this_machine()))  # of a dead process
    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(winners), len(losers)) == (1, 5)
    winners[0].require()
    winners[0].release()


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("call", [1, 2])
def test_taken_over_in_the_middle_of_a_commit(tmp_path: Path, call: int, swept: bool) -> None:
    """Before the commit file and after it, with the other run's sweep or without."""
    write_dataset(tmp_path, {"before": [random_clip(7, source="/v/before.mp4")]})
    calls = iter(range(1, 9))

    def guard() -> None:
        if next(calls) == call:
            if swept:
                # As the other run did that saw no commit file yet.
                for table in ("clips", "tracks", "points"):
                    (tmp_path / table / "s.parquet").unlink()
            raise LeaseError("taken over")

    with ShardWriter(tmp_path, "s") as writer:
        writer.add(encode_clip(random_clip(1)))
        with pytest.raises(LeaseError):
            writer.commit(guard=guard)
    whole = call == 2 and not swept
    assert set(committed_shards(tmp_path)) == ({"before", "s"} if whole else {"before"})
    assert len(list(open_dataset(tmp_path))) == (2 if whole else 1)
    sweep(tmp_path)
    assert len(list(open_dataset(tmp_path))) == (2 if whole else 1)
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_shard_that_another_run_committed_meanwhile_keeps_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_dataset(tmp_path, SPEC)

    def commit(guard: Callable[[], None] | None = None) -> None:
        with ShardWriter(tmp_path, "s") as writer:
            writer.add(encode_clip(random_clip(1)))
            writer.commit(guard=guard)

    def other_is_faster_then_the_disk_fails() -> None:
        commit()
        raise StorageError("cannot write")

    with pytest.raises(StorageError):
        commit(other_is_faster_then_the_disk_fails)
    assert len(list(open_dataset(tmp_path))) == 1


def test_disks_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    storage = connect(tmp_path)
    assert storage.create("a", b"1")
    assert not storage.create("a", b"2")
    assert storage.read("a") == b"1"
    assert storage.entries() == ["a"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(StorageError, match="a file stands where"),
        hold_lease(connect(tmp_path / "file" / "d")),
    ):
        raise AssertionError
