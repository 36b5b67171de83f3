"""The same job through Beam's portable job service, with workers in other processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from extract_archive import Archive

from pipelines.extract import ExtractError, ExtractSettings, TrackerFactory, run_extract
from pipelines.extract.cluster import Cluster
from pipelines.extract.open_shards import OpenShards
from trajectories import ShardReceipt

Settings = Callable[..., ExtractSettings]
Stub = Callable[..., TrackerFactory]
MakeVideo = Callable[..., Path]
Digests = Callable[[Path], Mapping[str, str]]

pytestmark = pytest.mark.usefixtures("no_leftovers")

# "embed" starts Beam's own local job service in this process.
PORTABLE = ["--runner=PortableRunner", "--job_endpoint=embed"]


@pytest.fixture
def worker_pool(cluster: Cluster) -> Iterator[str]:
    """A pool of Beam workers in processes of their own; its address.

    The pool starts a bare `python` for each worker, so this environment comes first on its path.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    pool = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "apache_beam.runners.worker.worker_pool_main",
            f"--service_port={port}",
        ],
        env=os.environ | {"PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                break
        time.sleep(0.1)
    yield f"localhost:{port}"
    os.killpg(pool.pid, signal.SIGTERM)
    try:
        pool.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(pool.pid, signal.SIGKILL)
        pool.wait()


@pytest.mark.parametrize("environment", ["LOOPBACK", "EXTERNAL"])
def test_the_dataset_is_the_same_whoever_runs_it(
    tmp_path: Path,
    archive: Archive,
    stub: Stub,
    digests: Digests,
    worker_pool: str,
    environment: str,
) -> None:
    options = [*PORTABLE, f"--environment_type={environment}"]
    if environment == "EXTERNAL":
        options.append(f"--environment_config={worker_pool}")
    summary = run_extract(
        [str(archive.folder / "*.mp4")],
        str(tmp_path / "out"),
        archive.settings,
        beam_options=options,
        factory=stub(),
    )
    assert (summary.clips, summary.failures) == (archive.clips, 1)
    assert digests(tmp_path / "out") == archive.digests


def test_a_bundle_that_fails_is_tried_again_and_nothing_is_done_twice(
    tmp_path: Path,
    archive: Archive,
    stub: Stub,
    digests: Digests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit, failed = OpenShards._committed, []

    def fail_once(self: OpenShards, receipt: ShardReceipt, seconds: float) -> None:
        commit(self, receipt, seconds)
        if not failed:
            failed.append(True)
            raise RuntimeError("the worker broke")

    monkeypatch.setattr(OpenShards, "_committed", fail_once)
    summary = run_extract(
        [str(archive.folder / "*.mp4")],
        str(tmp_path / "out"),
        archive.settings,
        beam_options=["--runner=BundleBasedDirectRunner"],
        factory=stub(),
    )
    assert failed
    assert (summary.clips, summary.failures) == (archive.clips, 1)
    assert digests(tmp_path / "out") == archive.digests


def test_a_workers_reason_to_stop_reaches_the_driver(
    tmp_path: Path,
    make_video: MakeVideo,
    quick_settings: Settings,
    stub: Stub,
    worker_pool: str,
) -> None:
    out = tmp_path / "out"
    make_video("a")

    def sabotage(snapshot: object) -> None:
        # From now on the folder of the clips is a file: no shard can be written.
        if out.is_dir() and not (out / "clips").exists():
            (out / "clips").write_text("in the way")

    options = [*PORTABLE, "--environment_type=EXTERNAL", f"--environment_config={worker_pool}"]
    with pytest.raises(ExtractError, match="cannot write") as caught:
        run_extract(
            [str(tmp_path / "videos")],
            str(out),
            quick_settings(),
            beam_options=options,
            factory=stub(seconds=2.0),
            progress=sabotage,
        )
    assert "\n" not in str(caught.value)
