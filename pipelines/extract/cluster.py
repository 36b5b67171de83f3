"""Joining a Ray cluster, or starting one on this machine for as long as it is needed."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.extract.errors import ClusterError

NAMESPACE = "tapirus"
_PROBE_SECONDS = 3.0
_MB = 1_000_000
# Ray keeps the token it first saw for the life of the process, so all clusters we start share one.
_TOKEN = secrets.token_hex(32)


@dataclass(frozen=True)
class Cluster:
    """A connection to Ray: what the cluster holds and how workers elsewhere reach it."""

    address: str
    cpus: float
    gpus: float
    nodes: int
    local: bool  # started here and stopped with us
    node_cpus: tuple[float, ...] = ()  # of each machine


@contextlib.contextmanager
def ray_cluster(address: str | None, object_store_mb: int = 1024) -> Iterator[Cluster]:
    """Connects to Ray for the length of the block; what was not started here is left running.

    address: "host:port" or "ray://host:port" of a running cluster, "auto" for the one of this
    machine, or None: the connection of this process where it has one, else a Ray of its own.

    Raises ClusterError.
    """
    import ray

    if ray.is_initialized():
        yield _describe(local=False)
        return
    started = address is None
    with _environment() if started else contextlib.nullcontext():
        _hush()
        if started:
            _start(object_store_mb)
        else:
            connect(address)
        try:
            yield _describe(local=started)
        finally:
            ray.shutdown()


def connect(address: str | None) -> None:
    """Connects this process to a running cluster, unless it is connected already.

    Raises ClusterError within seconds where nothing answers.
    """
    import ray

    if ray.is_initialized():
        return
    address = address or "auto"
    if address != "auto":
        probe(address)
    try:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            ignore_reinit_error=True,
        )
    except Exception as error:  # Ray raises ConnectionError, RuntimeError and its own for this
        reason = " ".join(str(error).split())[:300]
        raise ClusterError(f"cannot join the Ray cluster at {address}: {reason}") from error


def probe(address: str, timeout: float = _PROBE_SECONDS) -> None:
    """Raises ClusterError unless something listens there: Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f'"{address}" is no Ray address: use host:port, ray://host:port or auto')
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout):
            return
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer"
        raise ClusterError(
            f"no Ray cluster answers at {address} ({reason.lower()}): start one with "
            "`ray start --head`, or leave the address out to use this machine"
        ) from None


def _start(object_store_mb: int) -> None:
    import ray

    try:
        ray.init(
            address="local",
            namespace=NAMESPACE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            object_store_memory=object_store_mb * _MB,
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ClusterError(f"cannot start Ray on this machine: {reason}") from error


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """What a Ray started here finds in the environment, put back afterwards.

    It gets a token of its own: left alone Ray writes one into the home folder, and clusters started
    later by hand would take it up and refuse everyone else. Whoever set up authentication in the
    environment is obeyed.
    """
    authentication = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    names = (*authentication, "RAY_USAGE_STATS_ENABLED")
    before = {name: os.environ.get(name) for name in names}
    if not any(before[name] for name in authentication):
        os.environ["RAY_AUTH_TOKEN"] = _TOKEN
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _hush() -> None:
    """Keeps Ray from printing half a page on standard output for every process that dies.

    Deaths are handled and counted here. Nor does a private token need an announcement.
    """
    import ray._private.worker

    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    ray._private.worker._worker_logs_enabled = False


def _describe(local: bool) -> Cluster:
    import ray

    held = ray.cluster_resources()
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return Cluster(
        address=ray.get_runtime_context().gcs_address,
        cpus=float(held.get("CPU", 0)),
        gpus=float(held.get("GPU", 0)),
        nodes=len(nodes),
        local=local,
        node_cpus=tuple(float(node["Resources"].get("CPU", 0)) for node in nodes),
    )
