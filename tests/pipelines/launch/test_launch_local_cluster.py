"""Several raylets on this machine: an extraction across them, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import trajectories
from pipelines.launch import LaunchError, local_cluster
from pipelines.launch.settings import LocalCluster as Shape
from pipelines.video import write_video

# Prints how many nodes are alive, their GPUs, and whether the token is needed.
_COUNT = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print(sum(node["Alive"] for node in ray.nodes()), ray.cluster_resources().get("GPU", 0))
"""
# Seconds for a cluster to start, or a run of seconds to end, on a machine with much else to do.
_PATIENCE = 240
_TAPIRUS = [sys.executable, "-c", "from pipelines.cli import main; main()"]


def make_run(folder: Path, clips: int) -> tuple[Path, Path]:
    """Two videos of `clips` clips each, and the file that launches them: file and dataset."""
    videos = folder / "videos"
    videos.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    for number in range(2):
        frames = [np.roll(noise, number + t, axis=1) for t in range(8 * clips)]
        write_video(videos / f"v{number}.mp4", frames, 8)
    file, output = folder / "run.toml", folder / "tracks"
    file.write_text(
        f'[job]\ninputs = ["{videos}"]\noutput = "{output}"\n'
        "[job.extract]\ngrid = 4\n[job.extract.clip]\nnum_frames = 8\nsize = 64\n"
        # No such GPUs: the trackers are placed on them and work on the CPU.
        "[local-cluster]\nnodes = 2\ncpus = 1\ngpus = 1\nobject_store_mb = 100\n"
    )
    return file, output


def start(file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_TAPIRUS, "launch", str(file), "--target", "local-cluster"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
    )


def of_session(leader: int) -> dict[int, str]:
    """Processes that a session's leader, or those it started, have left: number and command."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(stat[3]) == leader and stat[0] != "Z":
                    found[int(entry.name)] = (entry / "cmdline").read_text()[:80]
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def folder_of(leader: int) -> Path:
    """Where the cluster of a session keeps its files, as its processes were told."""
    for process in of_session(leader):
        try:
            environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        for entry in environment:
            if entry.startswith(b"RAY_TMPDIR="):
                return Path(os.fsdecode(entry.partition(b"=")[2]))
    raise AssertionError("no process of the session belongs to a cluster")


def wait_until_gone(leader: int, seconds: float = _PATIENCE) -> dict[int, str]:
    end = time.monotonic() + seconds
    while (left := of_session(leader)) and time.monotonic() < end:
        time.sleep(0.2)
    return left


@pytest.mark.slow
def test_an_extraction_across_two_nodes(tmp_path: Path) -> None:
    file, output = make_run(tmp_path, clips=2)
    process = start(file)
    text, _ = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, text
    dataset = trajectories.open_dataset(output)
    assert len(dataset) == 4
    assert "trackers  2" in text  # one for each GPU, one of which is on the second node
    assert not wait_until_gone(process.pid)


@pytest.mark.slow
@pytest.mark.parametrize("number, group", [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_stopped_run_leaves_nothing_and_goes_on(
    tmp_path: Path, number: signal.Signals, group: bool
) -> None:
    file, output = make_run(tmp_path, clips=30)
    process = start(file)
    end = time.monotonic() + _PATIENCE
    # The first committed shard says that trackers work.
    while not list(output.glob("commits/*.json")) and time.monotonic() < end:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    folder = folder_of(process.pid)
    assert folder.is_dir()
    if group:  # as a terminal does
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    text, _ = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 130, text
    assert not wait_until_gone(process.pid)
    assert not folder.exists()
    before = len(trajectories.open_dataset(output))
    assert 0 < before < 60
    again = start(file)
    text, _ = again.communicate(timeout=_PATIENCE)
    assert again.returncode == 0, text
    assert len(trajectories.open_dataset(output)) == 60


@pytest.mark.slow
def test_a_killed_launch_leaves_no_process(tmp_path: Path) -> None:
    file, output = make_run(tmp_path, clips=30)
    process = start(file)
    end = time.monotonic() + _PATIENCE
    while not list(output.glob("commits/*.json")) and time.monotonic() < end:
        time.sleep(0.1)
    assert len(of_session(process.pid)) > 4
    folder = folder_of(process.pid)
    process.kill()
    process.communicate(timeout=_PATIENCE)
    assert not wait_until_gone(process.pid)
    shutil.rmtree(folder)  # a killed process cannot


@pytest.mark.slow
def test_nodes_come_and_go_and_strangers_do_not_join() -> None:
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}

    def count(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _COUNT, cluster.address],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    with local_cluster(Shape(nodes=2, cpus=1, gpus=1, object_store_mb=100)) as cluster:
        assert count(cluster.environment).stdout.split() == ["2", "2.0"]
        assert cluster.add_node() == 2
        assert count(cluster.environment).stdout.split() == ["3", "3.0"]
        cluster.kill_node(1)
        end = time.monotonic() + 30
        while (seen := count(cluster.environment).stdout.split()) != ["2", "2.0"]:
            assert time.monotonic() < end, seen
        with pytest.raises(ValueError, match="is the head"):
            cluster.kill_node(0)
        stranger = {k: v for k, v in cluster.environment.items() if k != "RAY_AUTH_TOKEN"}
        assert count({**stranger, "RAY_AUTH_TOKEN": "guess"}).returncode != 0
    after = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
    assert after == before


@pytest.mark.slow
def test_the_driver_waits_for_workers_and_becomes_its_command(tmp_path: Path) -> None:
    with local_cluster(Shape(nodes=1, cpus=1, gpus=1, object_store_mb=100)) as cluster:
        # As Ray's job manager does for the drivers that it starts.
        environment = {**cluster.environment, "RAY_ADDRESS": cluster.address}

        def drive(**changes: object) -> subprocess.Popen[str]:
            order = {
                "resource": "GPU", "bundle": 1.0, "workers": 2, "least": 1, "wait_s": 60.0,
                "command": ["echo", "the", "command"],
            } | changes  # fmt: skip
            (tmp_path / "job.json").write_text(json.dumps(order))
            return subprocess.Popen(
                [sys.executable, "-m", "pipelines.launch.driver", str(tmp_path / "job.json")],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip

        waiting = drive()
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.communicate(timeout=8)
        cluster.add_node()
        out, err = waiting.communicate(timeout=_PATIENCE)
        assert waiting.returncode == 0, err
        assert out.splitlines() == ["2 of 2 workers are there", "the command"]

        out, err = (lacking := drive(workers=9, least=9, wait_s=1.0)).communicate(timeout=_PATIENCE)
        assert lacking.returncode == 1
        assert out == ""
        assert "tapirus: 2 of 9 GPU workers came within 1 s" in err.splitlines()[-1]


def test_a_node_that_cannot_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray.cluster_utils

    class Refusing(ray.cluster_utils.Cluster):
        def add_node(self, *arguments: object, **values: object) -> None:
            raise RuntimeError("no room\nfor a node")

    monkeypatch.setattr(ray.cluster_utils, "Cluster", Refusing)
    wanted = "cannot start a Ray node on this machine: no room for a node"
    with pytest.raises(LaunchError, match=wanted), local_cluster(Shape()):
        pass
