"""A run's status file: written while it lives, read by others, judged by its age."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

import pytest
from run_makers import RUN, done, snapshot

from pipelines.extract.observe import RunEnd, RunInfo, new_run
from pipelines.extract.status import (
    FILE,
    RunStatus,
    StatusFile,
    is_starting,
    process_alive,
    read_status,
    sign_of_life,
    status_from_json,
)
from pipelines.extract.status_text import starting_text, status_text, status_values
from trajectories import DatasetError, StorageError
from trajectories.lease import Lease, Verdict, process_start
from trajectories.storage import LocalStorage, Storage, connect

STATUS = RunStatus(RUN, "running", "", written=1021.0, every=2.0, snapshot=snapshot())
LEASE = Lease("t", "head", "elsewhere", 4711, "12", started=999.0, heartbeat=1020.0)


def test_written_and_read_again() -> None:
    assert status_from_json(STATUS.to_json(), "x") == STATUS


def test_fields_of_a_newer_release_are_ignored() -> None:
    values = json.loads(STATUS.to_json())
    values["snapshot"]["temperature"] = 21
    values["run"]["moon"] = "full"
    assert status_from_json(json.dumps(values).encode(), "x") == STATUS


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"version": 1, "run": 3}', b"\xff"])
def test_a_file_that_is_no_status_is_one_line(data: bytes) -> None:
    with pytest.raises(DatasetError, match="x is no status of a run"):
        status_from_json(data, "x")


@pytest.mark.parametrize(
    "state,now,alive,sign",
    [
        ("running", 1022.0, None, "running"),
        ("running", 1021.0 + 29, None, "running"),
        ("running", 1021.0 + 31, None, "dead"),  # on another machine only the age is known
        ("running", 1021.0 + 31, True, "running"),  # storage that is slow
        ("running", 1022.0, False, "dead"),  # killed a moment ago
        ("done", 9e9, False, "done"),
        ("stopped", 1022.0, None, "stopped"),
        ("failed", 1022.0, None, "failed"),
    ],
)
def test_what_a_status_says_of_its_run(
    state: str, now: float, alive: bool | None, sign: str
) -> None:
    status = dataclasses.replace(STATUS, state=state)
    assert sign_of_life(status, now, lambda _: alive) == sign


def test_an_object_store_is_written_to_seldom_and_waited_for_longer() -> None:
    status = dataclasses.replace(STATUS, every=15.0)
    assert sign_of_life(status, 1021.0 + 70) == "running"
    assert sign_of_life(status, 1021.0 + 80) == "dead"


def test_a_driver_that_lives_and_a_cluster_that_is_silent() -> None:
    quiet = dataclasses.replace(STATUS, snapshot=dataclasses.replace(STATUS.snapshot, heard=900.0))
    assert sign_of_life(quiet, 1022.0) == "waiting"
    assert "has not been heard of for 2:01" in status_text(quiet, "waiting", 1022.0)


def test_processes_of_this_machine_are_asked() -> None:
    mine = dataclasses.replace(STATUS, run=new_run("/x", "stub", {}))
    assert process_alive(mine) is True
    run = dataclasses.replace(mine.run, process_started="1")  # the number means another one now
    assert process_alive(dataclasses.replace(mine, run=run)) is False
    assert process_alive(STATUS) is None
    assert mine.run.process_started == process_start(os.getpid())


def test_a_new_run_that_has_left_no_status_yet_is_starting() -> None:
    assert is_starting(LEASE, Verdict.HELD, None)
    assert not is_starting(LEASE, Verdict.HELD, STATUS)  # it is the one that wrote the status
    other = dataclasses.replace(LEASE, pid=4712)
    assert is_starting(other, Verdict.WATCH, STATUS)
    assert not is_starting(other, Verdict.FREE, STATUS)  # and is dead as well
    again = dataclasses.replace(LEASE, started=2000.0)  # the same process, its next run
    assert is_starting(again, Verdict.HELD, STATUS)
    assert not is_starting(None, None, None)
    text = starting_text("/data/tracks", other, STATUS, "dead")
    assert "process 4712 on head loads its trackers" in text
    assert "20260115-101530-3f9a2c: dead, 40 of about 200 (20%)" in text


def test_in_words() -> None:
    assert status_text(STATUS, "running", 1023.0).splitlines() == [
        "dataset   /data/tracks",
        "run       20260115-101530-3f9a2c on head, process 4711, tapir-mini",
        "state     running   (last sign of life 0:02 ago)",
        "clips     40 of about 200 (20%), 2 of 4 videos searched",
        "rate      2.22 clips/s, 36 tracks/s, 2 trackers busy 89% of the time",
        "time      0:25",
        *[line for line in status_text(STATUS, "running", 1023.0).splitlines() if "left" in line],
        "committed 32 clips in 5 shards, 5.0 MB",
        "failures  1   (1 FloatingPointError)",
        "retries   2, 1 trackers replaced",
    ]


def test_a_dead_run_tells_how_to_go_on() -> None:
    text = status_text(STATUS, "dead", 1021.0 + 200)
    assert "state     dead: no sign of life for 3:20" in text
    assert text.endswith("go on     in /data: tapirus extract videos -o tracks")
    assert "left" not in text


def test_for_programs() -> None:
    values = json.loads(json.dumps(status_values(STATUS, "running", 1023.0)))
    assert values["sign"] == "running"
    assert values["age"] == 2.0
    assert values["clips_expected"] == 200
    assert values["snapshot"]["failures_by_error"] == {"FloatingPointError": 1}
    assert status_values(STATUS, "dead", 1023.0)["eta"] is None


# -- the file


def wait_for(storage: Storage, state: str) -> RunStatus:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = read_status(storage)
        if status is not None and status.state == state:
            return status
        time.sleep(0.01)
    raise AssertionError(f"no status says {state}")


@pytest.mark.parametrize("where", ["{tmp}/set", "memory://status-{name}"])
def test_kept_up_to_date_and_ended(tmp_path: Path, where: str) -> None:
    storage = connect(where.format(tmp=tmp_path, name=tmp_path.name))
    file = StatusFile(storage, every=0.02)
    file.begin(RUN)
    assert read_status(storage) is None  # the dataset may not be there yet, or be another run's
    file.see(snapshot(40), [])
    first = wait_for(storage, "running")
    assert first.snapshot.clips_done == 40
    file.see(snapshot(41), [])
    deadline = time.monotonic() + 20
    while (found := read_status(storage)) and found.snapshot.clips_done < 41:
        assert time.monotonic() < deadline
    file.end(done())
    last = wait_for(storage, "done")
    assert last.written == 1030.0
    time.sleep(0.1)
    assert read_status(storage) == last  # nobody writes any more
    assert storage.list_files("") == [FILE]


def test_a_run_that_never_came_to_work_leaves_no_status(tmp_path: Path) -> None:
    file = StatusFile(connect(tmp_path / "set"), every=0.02)
    file.begin(RUN)
    file.end(RunEnd("failed", 1.0, "no cluster"))
    assert not (tmp_path / "set").exists()


def test_a_run_that_was_taken_over_leaves_the_status_of_the_next_one_alone(tmp_path: Path) -> None:
    storage = connect(tmp_path)
    file = StatusFile(storage, every=0.02)
    file.begin(RUN)
    file.see(snapshot(), [])
    wait_for(storage, "running")
    later = dataclasses.replace(STATUS, run=dataclasses.replace(RUN, run="next", started=2000.0))
    deadline = time.monotonic() + 20
    while (found := read_status(storage)) is not None and found.run != later.run:
        # The first one may be in the middle of a write.
        storage.write(FILE, later.to_json())
        time.sleep(0.1)
        assert time.monotonic() < deadline
    file.end(RunEnd("failed", 1030.0, "another run has taken over"))
    assert read_status(storage) == later


def test_a_damaged_status_is_written_anew(tmp_path: Path) -> None:
    storage = connect(tmp_path)
    storage.write(FILE, b"{")
    file = StatusFile(storage, every=0.02)
    file.begin(RUN)
    file.see(snapshot(), [])
    file.end(done())
    assert wait_for(storage, "done").run == RUN


def test_storage_that_refuses_is_told_once_it_is_known(tmp_path: Path) -> None:
    class Refusing(LocalStorage):
        def write(self, name: str, data: bytes) -> None:
            raise StorageError("disk full")

    file = StatusFile(Refusing(str(tmp_path)), every=0.01)
    file.begin(RUN)

    def until_told() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            file.see(snapshot(), [])

    with pytest.raises(StorageError, match="disk full"):
        until_told()
    with pytest.raises(StorageError):
        file.end(done())


def test_a_run_knows_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/tapirus", "extract", "my videos/*.mp4", "-o", "x"])
    run: RunInfo = new_run("/x", "stub", {"grid": 4})
    assert run.command == "tapirus extract 'my videos/*.mp4' -o x"
    assert run.folder == os.getcwd()
    assert new_run("/x", "stub", {}).run != run.run
