"""A real Ray cluster of several nodes on this machine, each a raylet with an object store.

For trying out what a cluster does before renting one, and for tests of it. Nodes can be killed and
added while a run goes on. GPUs are what the settings declare: Ray places trackers on them, and a
tracker that finds no device works on the CPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.launch.driver import extract_command
from pipelines.launch.errors import LaunchError
from pipelines.launch.settings import LaunchSettings
from pipelines.launch.settings import LocalCluster as Shape

_MB = 1_000_000
_GRACE_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1
_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


class LocalCluster:
    """A running cluster; see `local_cluster`, which makes one and takes it down.

    Node 0 is the head. `environment` is what processes need that join it.
    """

    def __init__(self, shape: Shape, environment: dict[str, str]) -> None:
        from ray.cluster_utils import Cluster

        self._shape = shape
        self.environment = environment
        self._cluster: Any = Cluster(shutdown_at_exit=True)
        self._nodes: list[Any] = []

    @property
    def address(self) -> str:
        """host:port for `--ray-address`."""
        return str(self._cluster.address)

    def add_node(self) -> int:
        """Starts one more node of the cluster's shape; returns its number."""
        arguments: dict[str, Any] = {
            "num_cpus": self._shape.cpus,
            "num_gpus": self._shape.gpus,
            "object_store_memory": self._shape.object_store_mb * _MB,
            # Several clusters may stand side by side: no port of Ray's usual ones.
            "dashboard_agent_listen_port": 0,
        }
        if not self._nodes:
            arguments |= {"include_dashboard": False}
        try:
            self._nodes.append(self._cluster.add_node(**arguments))
        except Exception as error:  # Ray raises RuntimeError, TimeoutError, ValueError and its own
            reason = " ".join(str(error).split())[:300]
            raise LaunchError(f"cannot start a Ray node on this machine: {reason}") from error
        return len(self._nodes) - 1

    def kill_node(self, number: int) -> None:
        """SIGKILL to the node's raylet; what runs on it ends with it, as when a machine is lost."""
        if number == 0:
            raise ValueError("node 0 is the head: the cluster ends with it")
        node = self._nodes[number]
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        """Ends every process of the cluster."""
        self._cluster.shutdown()


@contextlib.contextmanager
def local_cluster(shape: Shape) -> Iterator[LocalCluster]:
    """Starts a cluster for the length of the block.

    It has a token of its own, so that no other user of the machine can join, and whoever set up
    authentication in the environment is obeyed. Raises LaunchError.
    """
    with _environment() as environment:
        cluster = LocalCluster(shape, environment)
        try:
            for _ in range(shape.nodes):
                cluster.add_node()
            yield cluster
        finally:
            with _deaf():
                cluster.shutdown()


def launch_local(settings: LaunchSettings, command: Sequence[str] | None = None) -> int:
    """Runs the extraction on a local cluster; its exit code.

    The cluster is taken down whatever happens: when the run ends, fails, is stopped by Ctrl-C or
    SIGTERM, or this process is killed. command: run instead of `tapirus extract`; the address is
    appended to it.
    """
    # Signals after the nodes: Ray sets handlers of its own when it starts one.
    with local_cluster(settings.local_cluster) as cluster, _signals() as stop:
        if command is None:
            # This installation's own, wherever its scripts are.
            argv = [sys.executable, "-c", "from pipelines.cli import main; main()"]
            # Nothing brings this cluster back: it is not worth waiting for.
            argv += [*extract_command(settings, cluster.address)[1:], "--cluster-timeout", "0"]
        else:
            argv = [*command, cluster.address]
        child = subprocess.Popen(argv, env=cluster.environment, preexec_fn=_end_with_parent)
        stop.child = child
        try:
            return child.wait()
        finally:
            _end(child)


class _Stop:
    """Passes signals on to the child, which knows how to stop cleanly."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None

    def handle(self, number: int, frame: Any) -> None:
        if self.child is None:
            raise KeyboardInterrupt  # still starting
        # The terminal sends Ctrl-C to the child itself; kill sends SIGTERM to us alone.
        if number == signal.SIGTERM and self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)


@contextlib.contextmanager
def _signals() -> Iterator[_Stop]:
    stop = _Stop()
    before = {
        number: signal.signal(number, stop.handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """No Ctrl-C while the nodes are taken down: it would leave some of them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end_with_parent() -> None:
    """Has the kernel stop this process when its parent dies; Ray does so with its nodes.

    Without its cluster the run would wait for one that never comes back.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """Sets what Ray's processes inherit, and puts it back; the environment for those that join.

    Their files lie in a folder of their own, gone with the cluster. In the usual place Ray would
    also note this cluster as the one that "auto" means on this machine, over anyone else's. The
    token is that of all clusters of this process: Ray believes the first it saw.
    """
    from pipelines.extract import cluster

    with tempfile.TemporaryDirectory(
        prefix="tapirus-",
        dir="/tmp",  # a socket's path may have 107 characters
        ignore_cleanup_errors=True,
    ) as folder:
        changes = {"RAY_TMPDIR": folder, "TMPDIR": folder}
        if not any(os.environ.get(name) for name in _AUTHENTICATION):
            changes |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": cluster.OWN_TOKEN}
        if "RAY_USAGE_STATS_ENABLED" not in os.environ:
            changes["RAY_USAGE_STATS_ENABLED"] = "0"
        before = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        try:
            yield dict(os.environ)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
