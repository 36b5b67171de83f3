"""A worker of Beam that is killed: its local runner would wait for it for ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from extract_archive import Archive
from processes import beam_worker_pids

from pipelines.extract import TrackerFactory, run_extract, settings_to_dict
from pipelines.extract.cluster import Cluster

Stub = Callable[..., TrackerFactory]
Digests = Callable[[Path], Mapping[str, str]]

DRIVER = Path(__file__).parent / "extract_driver.py"
SEVERAL = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]

pytestmark = pytest.mark.usefixtures("no_leftovers")


def test_a_killed_beam_worker_ends_the_run_in_one_line_and_the_next_goes_on(
    tmp_path: Path, cluster: Cluster, archive: Archive, stub: Stub, digests: Digests
) -> None:
    inputs, out = [str(archive.folder / "*.mp4")], tmp_path / "out"
    order = {
        "inputs": inputs,
        "output": str(out),
        "settings": settings_to_dict(archive.settings) | {"ray_address": cluster.address},
        "beam_options": SEVERAL,
        "stub": {"seconds": 0.4},
    }
    log = tmp_path / "driver.log"
    with log.open("wb") as sink:
        driver = subprocess.Popen(
            [sys.executable, str(DRIVER), json.dumps(order)],
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end = time.monotonic() + 120
    while not list((out / "commits").glob("*.json")):
        assert driver.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, "nothing was committed"
        time.sleep(0.05)
    workers = beam_worker_pids()
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert driver.wait(timeout=120) == 1
    assert "a Beam worker was killed" in log.read_text().splitlines()[-1]
    done = len(list((out / "commits").glob("*.json")))
    assert 0 < done < archive.shards
    summary = run_extract(inputs, str(out), archive.settings, factory=stub())
    assert summary.skipped_shards == done
    assert digests(out) == archive.digests
