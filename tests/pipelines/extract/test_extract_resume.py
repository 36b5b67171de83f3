"""A driver that is killed and started again ends with the dataset of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import ray
from extract_archive import Archive

import trajectories
from pipelines.extract import ExtractSettings, TrackerFactory, run_extract, settings_to_dict
from pipelines.extract.cluster import Cluster

Settings = Callable[..., ExtractSettings]
Stub = Callable[..., TrackerFactory]
MakeVideo = Callable[..., Path]
Digests = Callable[[Path], Mapping[str, str]]

DRIVER = Path(__file__).parent / "extract_driver.py"


def start_driver(**order: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(DRIVER), json.dumps(order)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool], timeout: float, process: Any) -> None:
    end = time.monotonic() + timeout
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"the driver ended: {process.stdout.read().decode()[-3000:]}")
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.05)


def runs_actors() -> list[str]:
    names = [entry["name"] for entry in ray.util.list_named_actors(all_namespaces=True)]
    return [name for name in names if name.startswith("run-")]


@pytest.mark.parametrize("kills", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_killed_drivers_leave_a_dataset_that_is_completed_to_the_same_bytes(
    tmp_path: Path,
    cluster: Cluster,
    archive: Archive,
    stub: Stub,
    digests: Digests,
    kills: int,
) -> None:
    inputs, out = [str(archive.folder / "*.mp4")], tmp_path / "out"
    order = {
        "inputs": inputs,
        "output": str(out),
        "settings": settings_to_dict(archive.settings) | {"ray_address": cluster.address},
        "stub": {"seconds": 0.2},
    }
    rng = random.Random(kills)
    for _ in range(kills):
        before = len(list((out / "commits").glob("*.json")))
        driver = start_driver(**order)
        wait_for(
            lambda before=before: len(list((out / "commits").glob("*.json"))) > before,
            60,
            driver,
        )
        time.sleep(0.5 * rng.random())
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        if driver.stdout:
            driver.stdout.close()
    killed = trajectories.committed_shards(out)
    assert kills <= len(killed) < archive.shards
    # Ray ends what belonged to the dead driver.
    end = time.monotonic() + 20
    while runs_actors() and time.monotonic() < end:
        time.sleep(0.2)
    assert runs_actors() == []
    summary = run_extract(inputs, str(out), archive.settings, factory=stub())
    assert summary.skipped_shards == len(killed)
    assert summary.shards == archive.shards - len(killed)
    assert digests(out) == archive.digests


@pytest.mark.slow
def test_a_ray_that_a_killed_driver_started_goes_with_it(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings
) -> None:
    make_video("a", frames=60)
    out = tmp_path / "out"
    home = tmp_path / "home"
    home.mkdir()
    driver = subprocess.Popen(
        [
            sys.executable,
            str(DRIVER),
            json.dumps(
                {
                    "inputs": [str(tmp_path / "videos")],
                    "output": str(out),
                    "settings": settings_to_dict(quick_settings(object_store_mb=100)),
                    "stub": {"seconds": 0.2},
                }
            ),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(home)},
    )
    wait_for(lambda: bool(list((out / "commits").glob("*.json"))), 90, driver)
    family = descendants(driver.pid)
    assert len(family) > 3  # Ray's daemons and workers
    driver.kill()
    driver.wait()
    end = time.monotonic() + 20
    while (left := [pid for pid in family if alive(pid)]) and time.monotonic() < end:
        # Two helpers of Ray's daemon try to tell the dead head for a minute; then they end, too.
        if {name(pid) for pid in left} <= {"ray::DashboardA", "ray::RuntimeEnv"}:
            break
        time.sleep(0.2)
    else:
        assert left == []
    assert not list(home.iterdir()), "Ray wrote into the home folder"
    if driver.stdout:
        driver.stdout.close()


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(
                int(folder.name)
            )
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "ray::RuntimeEnv"  # ended since


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
