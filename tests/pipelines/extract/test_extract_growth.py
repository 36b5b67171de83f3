"""A cluster that grows while a run goes on: trackers that were asked for begin when they can."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import trajectories
from pipelines.extract import ExtractSettings, settings_to_dict
from pipelines.launch.local_cluster import local_cluster
from pipelines.launch.settings import LocalCluster as Shape

DRIVER = Path(__file__).parent / "extract_driver.py"


@pytest.mark.slow
def test_trackers_begin_when_their_gpus_come(
    tmp_path: Path,
    make_video: Callable[..., Path],
    quick_settings: Callable[..., ExtractSettings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Ray reads how to authenticate when it is imported, and this process has done so already.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    make_video("long", frames=6 * 80)
    out, log = tmp_path / "out", tmp_path / "driver.log"
    # GPUs on paper: trackers are placed on them and work on the CPU.
    with local_cluster(Shape(nodes=1, cpus=2, gpus=1, object_store_mb=100)) as cluster:
        settings = quick_settings(ray_address=cluster.address, num_actors=2)
        order = {
            "inputs": [str(tmp_path / "videos")],
            "output": str(out),
            "settings": settings_to_dict(settings),
            "stub": {"seconds": 0.5},
        }
        with log.open("wb") as sink:
            driver = subprocess.Popen(
                [sys.executable, str(DRIVER), json.dumps(order)],
                env=cluster.environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        try:
            end = time.monotonic() + 120
            while not list(out.glob("commits/*.json")):
                assert driver.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < end, "nothing was committed"
                time.sleep(0.1)
            cluster.add_node()
            assert driver.wait(timeout=300) == 0, log.read_text()[-3000:]
        finally:
            driver.kill()
            driver.wait()
    said = log.read_text()
    assert "1 of 2 trackers wait for GPUs" in said
    summary = json.loads(said.splitlines()[-1])
    assert (summary["clips"], summary["failures"], summary["actors"]) == (80, 0, 2)
    # Both were at work for some of the time, and one of them not from the beginning.
    assert 0 < summary["busy_share"] <= 1
    assert len(trajectories.open_dataset(out)) == 80
