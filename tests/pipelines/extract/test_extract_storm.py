"""Drivers, Beam workers, trackers and whole machines killed at random; the datasets do not show.

`TAPIRUS_KILLS=20 pytest -m slow -s …` makes it shorter.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extract_archive import Archive, digests
from fake_ray import Faults, World, pretending
from processes import beam_worker_pids, tracker_pids

from pipelines.extract import ExtractSettings, run_extract, settings_to_dict
from pipelines.extract.actors import plan_source
from pipelines.extract.planning import PlannedSource
from pipelines.launch.local_cluster import LocalCluster, local_cluster
from pipelines.launch.settings import LocalCluster as Shape
from pipelines.video import read_clip, write_video

# Half of the drivers have Beam work in two processes of its own.
SEVERAL = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
DRIVER = Path(__file__).parent / "extract_driver.py"
KILLS = int(os.environ.get("TAPIRUS_KILLS", "100"))


@pytest.fixture(scope="module")
def calm(
    tmp_path_factory: pytest.TempPathFactory, quick_settings: Callable[..., ExtractSettings]
) -> Archive:
    """Six videos and a file that is none, and their dataset, made without a cluster at all."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        frame = np.full((48, 64, 3), 35 * number, np.uint8)
        write_video(folder / f"v{number}.mp4", [frame] * (6 * (number + 1) + 9), 12)
    (folder / "text.mp4").write_text("no video")
    settings = quick_settings(shard_clips=3, sources_per_bucket=3)
    plans = {}
    for path in sorted(folder.iterdir()):
        planned = plan_source(str(path), settings.clip)
        assert isinstance(planned, PlannedSource)
        plans[str(path)] = planned
    out = tmp_path_factory.mktemp("calm") / "out"
    with pretending(World(plans, 1, Faults(), frames=read_clip)):
        summary = run_extract([str(folder / "*.mp4")], str(out), settings)
    return Archive(folder, settings, summary.clips, summary.shards, digests(out))


class Storm:
    """A cluster of several raylets, a driver on it that is started again, and what kills them."""

    def __init__(self, cluster: LocalCluster, archive: Archive, folder: Path, seed: int) -> None:
        self.cluster, self.archive, self.folder = cluster, archive, folder
        self.rng = random.Random(seed)
        self.nodes = [1, 2]  # the head stays: without it there is no cluster
        self.rounds = 0
        self.starts = 0
        self.killed: Counter[str] = Counter()
        self.driver: subprocess.Popen[bytes] | None = None

    @property
    def out(self) -> Path:
        """The dataset that is being made."""
        return self.folder / f"out{self.rounds}"

    @property
    def log(self) -> Path:
        """What the driver that runs says."""
        return self.folder / f"driver{self.starts}.log"

    def start(self, seconds: float) -> None:
        """Starts a driver, or goes on with the next dataset where one was completed."""
        settings = settings_to_dict(self.archive.settings) | {
            "ray_address": self.cluster.address,
            "num_actors": 2,
            "batch_clips": 2,
            # A kill from outside looks like the doing of the clip that it hits.
            "max_attempts": 50,
        }
        order: dict[str, Any] = {
            "inputs": [str(self.archive.folder / "*.mp4")],
            "output": str(self.out),
            "settings": settings,
            "stub": {"seconds": seconds},
            "beam_options": self.rng.choice([None, SEVERAL]),
        }
        self.starts += 1
        with self.log.open("wb") as log:
            self.driver = subprocess.Popen(
                [sys.executable, str(DRIVER), json.dumps(order)],
                env=self.cluster.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_over(self, wait: float) -> bool:
        """Whether the driver has completed its dataset."""
        assert self.driver is not None
        try:
            code = self.driver.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            return False
        assert code == 0, self.log.read_text()[-3000:]
        return True

    def kill(self) -> None:
        """Kills something."""
        what = self.rng.choices(["tracker", "worker", "driver", "raylet"], [6, 2, 2, 2])[0]
        trackers, workers = tracker_pids(), beam_worker_pids()
        if what == "tracker" and trackers:
            os.kill(self.rng.choice(trackers), signal.SIGKILL)
        elif what == "worker" and workers:
            os.kill(self.rng.choice(workers), signal.SIGKILL)
            assert self.driver is not None
            code = self.driver.wait(timeout=300)
            # It may have been at its end already.
            assert code == 0 or "Beam worker" in self.log.read_text(), self.log.read_text()[-3000:]
            if code:
                self.start(0.3)
        elif what == "raylet":
            node = self.nodes.pop(self.rng.randrange(len(self.nodes)))
            self.cluster.kill_node(node)
            self.nodes.append(self.cluster.add_node())
        elif what == "driver":
            self.stop()
            self.start(0.3)
        else:
            return  # there is none at the moment
        self.killed[what] += 1

    def stop(self) -> None:
        """Kills the driver."""
        assert self.driver is not None
        if self.driver.poll() is None:
            os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait()


@pytest.mark.slow
@pytest.mark.timeout(3500)
@pytest.mark.parametrize("kills", [KILLS])
def test_a_storm_of_kills_leaves_the_datasets_of_calm(
    tmp_path: Path, calm: Archive, kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ray reads how to authenticate when it is imported, and this process has done so already.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    began = time.monotonic()
    with local_cluster(Shape(nodes=3, cpus=2, gpus=0, object_store_mb=100)) as cluster:
        storm = Storm(cluster, calm, tmp_path, seed=kills)
        storm.start(0.3)
        try:
            while storm.killed.total() < kills:
                if storm.is_over(wait=3 * storm.rng.random()):
                    assert digests(storm.out) == calm.digests, f"round {storm.rounds}"
                    storm.rounds += 1
                    storm.start(0.3)
                elif list(storm.out.glob("inputs/*")):  # it has begun to work
                    storm.kill()
            storm.stop()
            storm.start(0.0)
            assert storm.is_over(wait=600), "the last run does not end"
            assert digests(storm.out) == calm.digests
        finally:
            storm.stop()
    seconds = time.monotonic() - began
    print(
        f"{storm.killed.total()} kills ({dict(storm.killed)}) in {seconds:.0f} s, "
        f"{storm.starts} drivers, {storm.rounds + 1} datasets completed and equal"
    )
    assert set(storm.killed) == {"tracker", "worker", "driver", "raylet"} or kills < 20
