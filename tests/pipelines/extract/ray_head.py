"""The head of a Ray cluster by `ray start --head --block`, for tests that kill it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def free_ports() -> int:
    """The first of two free ports below those that Ray gives to its workers."""
    for port in range(6400, 9900, 2):
        if not (_listens(port) or _listens(port + 1)):
            return port
    raise AssertionError("no free port")


class Head:
    """`address` for drivers beside it, `client_address` for Ray Client; `environment` is theirs.

    folder: for its sessions; short, since sockets lie there.
    """

    def __init__(self, folder: Path, cpus: int = 4, gpus: int = 0) -> None:
        self.port = free_ports()
        self.address = f"127.0.0.1:{self.port}"
        self.client_address = f"ray://127.0.0.1:{self.port + 1}"
        env = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        self.environment = env | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        self.log = folder / "start.log"
        self._folder, self._cpus, self._gpus = folder, cpus, gpus
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it takes connections."""
        end = time.monotonic() + 120
        while not (_listens(self.port) and _listens(self.port + 1)):
            assert time.monotonic() < end, self.log.read_text()
            # Ray refuses while it finds what is left of one that was there.
            if self._process is None or self._process.poll() is not None:
                self._process = self._begin()
            time.sleep(0.2)

    def _begin(self) -> subprocess.Popen[bytes]:
        program = str(Path(sys.executable).parent / "ray")
        words = ["start", "--head", "--block", f"--port={self.port}", f"--num-cpus={self._cpus}"]
        words += [f"--num-gpus={self._gpus}", f"--ray-client-server-port={self.port + 1}"]
        words += ["--include-dashboard=false", "--object-store-memory=100000000"]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [program, *words, f"--temp-dir={self._folder}"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to all of it at once, as when its machine is lost."""
        if self._process is None:
            return
        own = [self._process.pid, *_descendants(self._process.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # none may start others meanwhile
            for pid in own:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self._process.wait()
        self._process = None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(stat[1]), []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        more = children.get(todo.pop(), [])
        found += more
        todo += more
    return found
