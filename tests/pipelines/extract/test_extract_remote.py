"""A cluster that somebody else started: native and through Ray Client, with GPUs on paper."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trajectories
from pipelines.extract import ExtractSettings, settings_to_dict

DRIVER = Path(__file__).parent / "extract_driver.py"
pytestmark = pytest.mark.slow


def free_port() -> int:
    """A port below those that Ray gives to its workers."""
    for port in range(6400, 9900):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port")


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[str, str, dict[str, str]]]:
    """`ray start --head` with two GPUs that do not exist: address, client address, environment."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    env |= {"RAY_AUTH_MODE": "disabled"}
    port = free_port()
    client = port + 1
    process = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "ray"),
            *("start", "--head", "--block", f"--port={port}", "--num-cpus=4", "--num-gpus=2"),
            *(f"--ray-client-server-port={client}", "--include-dashboard=false"),
            "--object-store-memory=100000000",
        ],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    for wanted in (port, client):
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", wanted)) == 0:
                    break
            time.sleep(0.2)
    yield f"127.0.0.1:{port}", f"ray://127.0.0.1:{client}", env
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("client", [False, True])
def test_a_running_cluster_is_joined_and_left_as_it_was(
    tmp_path: Path,
    head: tuple[str, str, dict[str, str]],
    make_video: Callable[..., Path],
    quick_settings: Callable[..., ExtractSettings],
    client: bool,
) -> None:
    for i in range(3):
        make_video(f"v{i}", level=50 * i, frames=25)
    address, client_address, env = head
    settings = settings_to_dict(quick_settings(ray_address=client_address if client else address))
    for number in range(2):  # a second run finds the cluster as the first one did
        order: dict[str, Any] = {
            "inputs": [str(tmp_path / "videos")],
            "output": str(tmp_path / f"out{number}"),
            "settings": settings,
        }
        done = subprocess.run(
            [sys.executable, str(DRIVER), json.dumps(order)],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert len(trajectories.open_dataset(tmp_path / f"out{number}")) == 12
        summary = json.loads(done.stdout.splitlines()[-1])
        assert summary["actors"] == 2  # one per GPU
