"""Joining Ray: what is refused, how fast, and what is left behind."""

from __future__ import annotations

import logging
import os
import socket
import time

import pytest
import ray

from pipelines.extract.cluster import Cluster, connect, probe, ray_cluster
from pipelines.extract.errors import ClusterError


def dead_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@pytest.mark.parametrize("prefix", ["", "ray://"])
def test_a_dead_address_is_refused_within_seconds(prefix: str) -> None:
    address = f"{prefix}127.0.0.1:{dead_port()}"
    start = time.monotonic()
    with pytest.raises(ClusterError, match="no Ray cluster answers at") as caught:
        probe(address)
    assert time.monotonic() - start < 5
    assert address in str(caught.value)


@pytest.mark.parametrize("address", ["nonsense", "host:", ":6379", "host:port", "ray://host"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match="use host:port"):
        probe(address)


def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(ClusterError, match="no Ray cluster answers"):
        probe("nowhere.invalid:6379")


def test_a_cluster_that_is_there_already_is_used_and_left_running(cluster: Cluster) -> None:
    assert cluster.local
    assert cluster.cpus >= 1
    with ray_cluster(None) as again:
        assert again.address == cluster.address
        assert not again.local
    assert ray.is_initialized()
    connect(cluster.address)  # connected already: nothing happens
    assert ray.is_initialized()


def test_a_private_ray_leaves_no_token_and_no_noise(cluster: Cluster) -> None:
    assert os.environ.get("RAY_AUTH_TOKEN")  # for the workers, while it runs
    assert not os.path.exists(os.path.expanduser("~/.ray/auth_token"))
    assert logging.getLogger().level != logging.ERROR
