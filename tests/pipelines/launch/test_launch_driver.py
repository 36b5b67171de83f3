"""The driver on the cluster: the command it becomes, and the workers it waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.extract import command as extract
from pipelines.extract import ExtractSettings, settings_from_dict
from pipelines.launch import LaunchError, LaunchSettings
from pipelines.launch.driver import (
    Order,
    extract_command,
    order_of,
    setting_flags,
    wait_for_workers,
)

EXTRACT: dict[str, Any] = {
    "tracker": "bootstapir", "dtype": "bfloat16", "grid": 24, "query_frame": "middle",
    "shard_clips": 4, "batch_clips": 2, "num_actors": 3, "start_timeout": 60.5, "strict": True,
    "clip": {"num_frames": 48, "fps": 12.5, "size": 128, "fit": "fit", "stride": 24},
}  # fmt: skip


def parsed(command: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
    """The command as `tapirus extract` itself understands it: its parameters, and Beam's words."""
    assert command[:2] == ("tapirus", "extract")
    context = extract.make_context("extract", list(command[2:]))
    return context.params, [word for values in context.meta.values() for word in values]


def test_the_command_means_what_the_settings_say(
    make_settings: Callable[..., LaunchSettings],
) -> None:
    settings = make_settings(job={"extract": EXTRACT, "inputs": ["gs://b/a b*.mp4", "gs://b/ü"]})
    params, beam = parsed(extract_command(settings, "auto", ("--runner=X", "--y=z")))
    assert params["inputs"] == ("gs://b/a b*.mp4", "gs://b/ü")
    assert params["output"] == "gs://bucket/out"
    assert params["ray_address"] == "auto"
    assert beam == ["--runner=X", "--y=z"]
    clip = {name: params.pop(name) for name in EXTRACT["clip"]}
    given = {name: params[name] for name in EXTRACT if name != "clip"}
    assert settings_from_dict({**given, "clip": clip}) == settings_from_dict(EXTRACT)


def test_only_what_differs_is_said() -> None:
    assert setting_flags(ExtractSettings()) == []
    changed = {"strict": True, "clip": {"cut_threshold": None}}
    flags = setting_flags(settings_from_dict(changed))
    assert sorted(flags) == sorted(["--strict", "--cut-threshold", "none"])


def test_an_order_travels_as_a_file(
    tmp_path: Path, make_settings: Callable[..., LaunchSettings]
) -> None:
    order = order_of(make_settings(job={"inputs": ['gs://b/it\'s "quoted" $HOME/*.mp4']}))
    (tmp_path / "job.json").write_text(order.to_json())
    assert Order.read(tmp_path / "job.json") == order


def test_what_is_waited_for(make_settings: Callable[..., LaunchSettings]) -> None:
    order = order_of(make_settings(kuberay={"gpus": 6, "least_gpus": 2, "wait_s": 90}))
    assert (order.resource, order.bundle, order.workers, order.least, order.wait_s) == (
        "GPU", 1.0, 6, 2, 90.0,
    )  # fmt: skip
    order = order_of(make_settings(kuberay={"gpus": 0, "cpu_workers": 3, "cpu_worker_cpus": 5}))
    assert (order.resource, order.bundle, order.workers, order.least) == ("CPU", 5.0, 3, 1)


def test_there_is_a_tracker_for_each_gpu_that_is_to_come(
    make_settings: Callable[..., LaunchSettings],
) -> None:
    def trackers(**changes: Any) -> int | None:
        params, _ = parsed(order_of(make_settings(**changes)).command)
        number: int | None = params["num_actors"]
        return number

    assert trackers(kuberay={"gpus": 6}) == 6
    assert trackers(kuberay={"gpus": 6}, job={"extract": {"num_actors": 4}}) == 4
    assert trackers(kuberay={"gpus": 0}) is None


class Cluster:
    """A cluster that grows while a clock that only `sleep` moves goes on."""

    def __init__(self, sizes: list[float]) -> None:
        self.now = 0.0
        self._sizes: Iterator[float] = iter(sizes)
        self._size = 0.0

    def held(self) -> float:
        self._size = next(self._sizes, self._size)
        return self._size

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def wait(cluster: Cluster, **changes: Any) -> int:
    values: dict[str, Any] = {
        "resource": "GPU", "bundle": 1.0, "workers": 4, "least": 2, "wait_s": 20.0,
        "command": ("true",),
    } | changes  # fmt: skip
    return wait_for_workers(Order(**values), cluster.held, cluster.clock, cluster.sleep)


def test_all_workers_are_better_than_enough() -> None:
    cluster = Cluster([0, 2, 3, 4])
    assert wait(cluster) == 4
    assert cluster.now == 15


def test_enough_workers_are_enough_in_the_end() -> None:
    cluster = Cluster([0, 3])
    assert wait(cluster) == 3
    assert cluster.now == 20


def test_too_few_workers_fail_with_a_remedy() -> None:
    cluster = Cluster([0, 1])
    with pytest.raises(LaunchError, match=r"1 of 4 GPU workers came within 20 s.*kuberay\.wait_s"):
        wait(cluster)
    assert cluster.now == 20


def test_workers_are_counted_by_what_they_hold() -> None:
    assert wait(Cluster([6.9, 13.9, 14.0]), resource="CPU", bundle=7.0, workers=2) == 2
