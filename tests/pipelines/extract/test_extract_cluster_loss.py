"""The head of a real Ray cluster is lost in the middle of a run, and comes back or not."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from extract_archive import Archive, digests
from ray_head import Head

from pipelines.extract.status import process_alive, read_status, sign_of_life
from pipelines.launch.driver import setting_flags
from trajectories import committed_shards, open_dataset
from trajectories.storage import connect

DRIVER = Path(__file__).parent / "cli_driver.py"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def head() -> Iterator[Head]:
    with tempfile.TemporaryDirectory(
        prefix="tapirus-", dir="/tmp", ignore_cleanup_errors=True
    ) as d:
        made = Head(Path(d))
        made.start()
        try:
            yield made
        finally:
            made.kill()


class Command:
    """`tapirus extract` of an archive on a head, each clip taking a while."""

    def __init__(
        self, archive: Archive, address: str, head: Head, folder: Path, *words: str
    ) -> None:
        self.out, self.log = folder / "out", folder / "log"
        inputs = [str(archive.folder / "*.mp4"), "-o", str(self.out), "--no-report"]
        flags = [*setting_flags(archive.settings), "--ray-address", address, *words]
        # Ray takes a minute to end a driver otherwise.
        quick = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(DRIVER), "extract", *inputs, *flags],
                env={**head.environment, **quick, "TAPIRUS_TEST_STUB": json.dumps({"seconds": 1})},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until(self, there: Callable[[], bool], what: str) -> None:
        """Waits for something to happen while the command goes on."""
        end = time.monotonic() + 300
        while not there():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, f"{what}: {self.log.read_text()[-3000:]}"
            time.sleep(0.1)

    def lose(self, head: Head) -> int:
        """Kills the head when some of the shards are committed, not all of them; how many are."""
        self.until(lambda: len(self.commits()) >= 2, "no commits")
        head.kill()
        return len(self.commits())

    def commits(self) -> list[Path]:
        return list(self.out.glob("commits/*.json"))

    def said(self, words: str) -> bool:
        return words in self.log.read_text()

    def sign(self) -> str:
        """What `tapirus status` says."""
        status = read_status(connect(str(self.out)))
        return sign_of_life(status, time.time(), process_alive) if status is not None else ""

    def end(self) -> int:
        return self.process.wait(timeout=600)


@pytest.mark.parametrize("client", [False, True])
def test_a_cluster_that_comes_back_completes_the_run(
    tmp_path: Path, archive: Archive, head: Head, client: bool
) -> None:
    address = head.client_address if client else head.address
    command = Command(archive, address, head, tmp_path)
    try:
        before = command.lose(head)
        assert before < archive.shards
        command.until(lambda: command.said(f"{address} is gone; waiting"), "not noticed")
        command.until(lambda: command.sign() == "waiting", "status")
        assert not command.said("going on")
        head.start()
        assert command.end() == 0, command.log.read_text()[-3000:]
    finally:
        command.process.kill()
    assert digests(command.out) == archive.digests
    summary = command.log.read_text().rpartition("clips ")[2].split()
    assert int(summary[0]) < archive.clips  # what was committed was not done again
    assert command.sign() == "done"


def test_a_cluster_that_is_back_before_ray_gives_up_completes_the_run(
    tmp_path: Path, archive: Archive, head: Head
) -> None:
    command = Command(archive, head.address, head, tmp_path)
    try:
        command.lose(head)
        head.start()
        assert command.end() == 0, command.log.read_text()[-3000:]
    finally:
        command.process.kill()
    assert digests(command.out) == archive.digests


def test_a_cluster_that_stays_away_is_given_up(
    tmp_path: Path, archive: Archive, head: Head
) -> None:
    command = Command(archive, head.address, head, tmp_path, "--cluster-timeout", "3")
    try:
        before = command.lose(head)
        assert command.end() == 75, command.log.read_text()[-3000:]
    finally:
        command.process.kill()
    last = command.log.read_text().splitlines()[-1]
    assert last.startswith(f"tapirus: the Ray cluster at {head.address} did not come back within ")
    assert "what is committed is kept" in last
    assert len(committed_shards(str(command.out))) >= before
    assert len(open_dataset(command.out)) > 0
    assert command.sign() == "failed"
