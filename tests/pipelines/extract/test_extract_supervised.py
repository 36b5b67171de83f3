"""A run that has a supervisor: its process, what it says, how it waits for a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from run_makers import RUN, snapshot

from pipelines.extract import ClusterError, ExtractSettings, SettingsError
from pipelines.extract.cluster import Cluster, is_attached, noticing_loss, settled
from pipelines.extract.errors import ClusterLostError, ExtractError
from pipelines.extract.status import FILE, RunStatus, read_status, sign_of_life, tell_instead
from pipelines.extract.supervise import Ended
from pipelines.extract.supervised import ended_from, same_command
from trajectories import DatasetError, StorageError
from trajectories.lease import process_start, this_machine
from trajectories.storage import connect


def test_what_a_child_says() -> None:
    words: list[dict[str, object]] = [
        {"word": "started"},
        {"word": "joined", "address": "h:1", "cpus": 8.0, "gpus": 2.0},
        {"word": "committed"},
        {"word": "lost"},
    ]
    ended = ended_from(75, words)
    assert ended == Ended(75, True, True, True, lost=True, address="h:1", held=(8.0, 2.0))
    assert ended_from(1, []) == Ended(1, started=False)


def test_the_same_command_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/tapirus", "extract", "a"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "/bin/tapirus", "extract", "a"])
    assert same_command(["extract", "a"]) == [sys.executable, *sys.orig_argv[1:]]
    called = same_command(["extract", "b"])  # by a program whose own command line is another
    assert called[:2] == [sys.executable, "-c"]
    assert called[3:] == ["extract", "b"]


# -- real processes, without Ray

_PARENT = """
import sys
from pipelines.extract.supervise import Stop, Supervisor
from pipelines.extract.supervised import ChildProcess, passing_on
stop = Stop()
start = lambda before: ChildProcess([sys.executable, "-c", sys.argv[1]], before)
with passing_on(stop):
    sys.exit(Supervisor("127.0.0.1:1", 0.5, start, print, stop).run())
"""
_CHILD = """
import os, pathlib, signal, sys, time
from pipelines.extract.supervised import adopt, telling
assert adopt() is not None
folder, seen = pathlib.Path("."), []
def hear(number, frame):
    seen.append(number)
    (folder / "heard").touch()
signal.signal(signal.SIGINT, hear)
with telling():
    (folder / "tmp").write_text(str(os.getpid()))
    (folder / "tmp").rename(folder / "pid")
    while not (folder / "end").exists():
        time.sleep(0.02)
    print("heard", len(seen), flush=True)
sys.exit(40 + len(seen))
"""


def begin(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A supervisor in its own session, as a shell would start it, and its child's number."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, _CHILD],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: (folder / "pid").exists() or parent.poll() is not None)
    return parent, int((folder / "pid").read_text())


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_ctrl_c_in_the_terminal_reaches_the_child_once(tmp_path: Path) -> None:
    parent, child = begin(tmp_path)
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does, to all in the foreground
    assert os.getpgid(child) != parent.pid  # so that it has the signal from its parent alone
    until((tmp_path / "heard").exists)
    (tmp_path / "end").touch()
    out, _ = parent.communicate(timeout=120)
    assert (parent.returncode, out) == (41, "heard 1\n")


def test_ctrl_z_stops_both_until_they_are_called_back(tmp_path: Path) -> None:
    def stopped(pid: int) -> bool:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    parent, child = begin(tmp_path)
    parent.send_signal(signal.SIGTSTP)
    until(lambda: stopped(child) and stopped(parent.pid))
    parent.send_signal(signal.SIGCONT)
    until(lambda: not stopped(child))
    (tmp_path / "end").touch()
    parent.communicate(timeout=120)
    assert parent.returncode == 40


def test_a_supervisor_that_is_killed_takes_its_child_with_it(tmp_path: Path) -> None:
    parent, child = begin(tmp_path)
    parent.kill()
    parent.wait()
    until(lambda: not process_start(child))


# -- the parts in the run itself


def cluster_of(cpus: float, gpus: float = 0.0, local: bool = False) -> Cluster:
    return Cluster("head:6379", cpus, gpus, 1, local, (cpus,))


class Growing:
    """A cluster whose workers come at given times, and a clock."""

    def __init__(self, **workers: tuple[float, float]) -> None:
        self.workers = {float(when[1:]): held for when, held in workers.items()}
        self.now = 0.0

    def look(self) -> Cluster:
        there = [held for when, held in self.workers.items() if when <= self.now]
        return cluster_of(sum(held[0] for held in there), sum(held[1] for held in there))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def settled(self, timeout: float | None, before: tuple[float, float] = (0, 0)) -> Cluster:
        return settled(
            self.look(), timeout, before, lambda: False, self.look, lambda: self.now, self.sleep
        )


def test_a_cluster_without_cpus_is_awaited_within_the_timeout() -> None:
    growing = Growing(t100=(4, 0))
    assert growing.settled(1800).cpus == 4
    assert 100 <= growing.now <= 103
    growing = Growing(t100=(4, 0))
    assert growing.settled(50).cpus == 0
    assert growing.now == pytest.approx(50, abs=3)
    assert Growing(t100000=(4, 0)).settled(None).cpus == 4
    assert Growing(t100=(4, 0)).settled(0).cpus == 0
    growing = Growing(t0=(4, 0), t50=(4, 4))
    assert growing.settled(1800).gpus == 0  # a first run takes what is there
    assert growing.now == 0


def test_a_cluster_that_was_lost_may_grow_to_what_it_was() -> None:
    growing = Growing(t0=(2, 0), t60=(8, 1), t90=(8, 1))
    assert growing.settled(None, before=(18, 2)).gpus == 2
    assert 90 <= growing.now <= 93
    growing = Growing(t0=(2, 0), t60=(8, 1))  # one of two has gone for good
    assert growing.settled(1800, before=(18, 2)).gpus == 1
    assert growing.now < 300
    assert growing.settled(0, before=(18, 2)).gpus == 1


def test_ctrl_c_ends_the_wait_for_workers_and_a_ray_of_our_own_needs_none() -> None:
    assert settled(cluster_of(0), None, give_up=lambda: True).cpus == 0
    assert settled(cluster_of(0, local=True), None).cpus == 0


_OTHER = "RPC error: WrongClusterID: Perhaps the client is accessing GCS after it has restarted."


@pytest.mark.parametrize(
    "answering, connected, problem, attached",
    [
        (True, True, None, True),
        (False, True, None, True),  # no port where the address says, and still a connection
        (True, False, None, False),
        (True, True, RuntimeError(_OTHER), False),
        (True, True, RuntimeError("timed out"), None),
        (False, True, RuntimeError("timed out"), None),
    ],
)
def test_what_a_run_fails_of_without_its_cluster_is_its_loss(
    monkeypatch: pytest.MonkeyPatch,
    answering: bool,
    connected: bool,
    problem: Exception | None,
    attached: bool | None,
) -> None:
    def ask(key: bytes) -> bool:
        if problem is not None:
            raise problem
        return False

    monkeypatch.setattr("pipelines.extract.cluster.answers", lambda address: answering)
    monkeypatch.setattr("ray.is_initialized", lambda: connected)
    monkeypatch.setattr("ray.experimental.internal_kv._internal_kv_exists", ask)

    def fails(error: Exception) -> type[BaseException]:
        with pytest.raises((ExtractError, DatasetError)) as caught, noticing_loss("head:6379"):
            raise error
        return caught.type

    assert is_attached() is attached
    there = answering and attached
    full = StorageError("the disk is full")
    assert fails(full) is (StorageError if there else ClusterLostError)
    assert fails(ConnectionError("Client is shutting down")) is ClusterLostError
    assert fails(ClusterError("cannot join")) is ClusterError


def test_the_status_says_that_the_run_waits(tmp_path: Path) -> None:
    storage = connect(str(tmp_path))
    tell_instead(storage, 1234, "waiting")
    assert read_status(storage) is None  # there is none to keep up to date
    run = replace(RUN, machine=this_machine(), pid=1234, process_started="1")
    storage.write(FILE, RunStatus(run, "failed", "lost", 1000.0, 2.0, snapshot()).to_json())
    tell_instead(storage, 99, "waiting")  # another's
    assert (status := read_status(storage)) is not None
    assert status.state == "failed"
    for _ in range(2):
        tell_instead(storage, 1234, "waiting")
        assert (status := read_status(storage)) is not None
        assert (status.run.pid, status.reason, status.snapshot) == (os.getpid(), "", snapshot())
        assert sign_of_life(status, status.written + 1, lambda status: True) == "waiting"
        assert sign_of_life(status, status.written + 1, lambda status: False) == "dead"
    tell_instead(storage, 1234, "failed", "it did not come back")
    assert (status := read_status(storage)) is not None
    assert (status.state, status.reason) == ("failed", "it did not come back")


@pytest.mark.parametrize("value", [-1, float("nan")])
def test_a_timeout_before_now_is_refused(value: float) -> None:
    with pytest.raises(SettingsError, match=r"cluster_timeout is .*: must be 0 or more"):
        ExtractSettings(cluster_timeout=value)
    assert ExtractSettings(cluster_timeout=0).cluster_timeout == 0
    assert ExtractSettings(cluster_timeout=None).cluster_timeout is None
