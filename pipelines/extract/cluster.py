"""Joining a Ray cluster, or starting one on this machine for as long as it is needed."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipelines.extract.errors import ClusterError, ClusterLostError

NAMESPACE = "tapirus"
_PROBE_SECONDS = 3.0
_LOOK_SECONDS = 2.0  # from one look at a cluster without workers to the next
# How long a cluster that was lost may take to become as large as it was.
_REGROW_SECONDS = 180.0
_MB = 1_000_000
# Ray keeps the token it first saw for the life of the process, so all clusters we start share one.
OWN_TOKEN = secrets.token_hex(32)
_LOG = logging.getLogger("tapirus")


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

    Raises ClusterError, and ClusterLostError where the block fails since the cluster has gone.
    """
    import ray

    if ray.is_initialized():
        yield _describe(local=False)
        return
    started = address is None
    with _environment() if started else contextlib.nullcontext(), _no_other_ray():
        _hush()
        if started:
            _start(object_store_mb)
        else:
            connect(address)
        try:
            cluster = _describe(local=started)
            watched = cluster.address if address in (None, "auto") else address
            with contextlib.nullcontext() if started else noticing_loss(watched):
                yield cluster
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
    _allow_other_ray(False)
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


def answers(address: str) -> bool:
    """Whether something listens there; see `probe`."""
    try:
        probe(address)
    except ClusterError:
        return False
    return True


@contextlib.contextmanager
def noticing_loss(address: str) -> Iterator[None]:
    """Raises ClusterLostError for whatever the block fails of because the cluster has gone.

    Often the process does not live to tell: Ray ends a driver that has lost its cluster, unless it
    is connected through Ray Client.
    """
    try:
        yield
    except ClusterError:
        raise
    except Exception as error:
        there = not isinstance(error, ConnectionError) and answers(address)
        if there and is_attached():
            raise
        raise ClusterLostError(
            f"the Ray cluster at {address} is gone: start it and run again to go on, what is "
            "committed is kept"
        ) from error


def is_attached() -> bool | None:
    """Whether the cluster that answers is the one that was joined; None where nobody answers.

    When a head is replaced within a minute, before Ray gives up on it, Ray's calls wait for ever:
    the new one knows nothing of this process, nor of its actors.
    """
    import ray
    from ray.experimental import internal_kv

    if not ray.is_initialized():
        return False
    try:
        # Others of Ray's calls, such as ray.nodes(), abort the process for the same reason.
        internal_kv._internal_kv_exists(b"tapirus")
    except Exception as error:  # Ray raises RuntimeError, ConnectionError, bare ones and its own
        return False if "WrongClusterID" in str(error) else None
    return True


def settled(
    cluster: Cluster,
    timeout: float | None,
    before: tuple[float, float] = (0.0, 0.0),
    give_up: Callable[[], bool] = lambda: False,
    look: Callable[[], Cluster] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Cluster:
    """The cluster when it has CPUs: one that is coming up joins its workers later than its head.

    The pool of trackers is planned by what is there. So a cluster that was lost is given a while
    to hold as much as `before`, its CPUs and GPUs then. timeout: seconds, None for no limit.
    """
    look = look or (lambda: _describe(cluster.local))
    most = math.inf if timeout is None else timeout
    start, told = clock(), False
    while not cluster.local and not give_up():
        if cluster.cpus > 0:
            most = min(most, _REGROW_SECONDS)
            if cluster.cpus >= before[0] and cluster.gpus >= before[1]:
                break
        if clock() - start >= most:
            break
        if not told:
            told = True
            held = f"{cluster.cpus:g} CPUs and {cluster.gpus:g} GPUs"
            _LOG.warning("the Ray cluster has %s so far: waiting for its workers", held)
        sleep(_LOOK_SECONDS)
        cluster = look()
    return cluster


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
        os.environ["RAY_AUTH_TOKEN"] = OWN_TOKEN
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _no_other_ray() -> Iterator[None]:
    """Keeps Ray from starting a cluster of its own in the place of one that has gone.

    It does so at any call of a process that is not connected, or is not any more.
    """
    before = _allow_other_ray(False)
    try:
        yield
    finally:
        _allow_other_ray(before)


def _allow_other_ray(allow: bool) -> bool:
    import ray._private.auto_init_hook as hook

    before: bool = hook.enable_auto_connect
    hook.enable_auto_connect = allow
    return before


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
