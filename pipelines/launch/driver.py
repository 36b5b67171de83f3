"""The driver of a run on a cluster: waits for workers, then becomes `tapirus extract`.

Started beside Ray's head as `python -m pipelines.launch.driver JOB.json`, where JOB.json is an
`Order`. Trackers are placed by what the cluster holds when the extraction begins, and a cluster
that scales from nothing has no GPU yet: so the workers are asked for and awaited first. Those that
come later get their trackers then. The command stands in a file because a command line would be
parsed by three shells on its way here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipelines.extract import ExtractError, ExtractSettings, options, settings_to_dict
from pipelines.launch.errors import LaunchError
from pipelines.launch.settings import LaunchSettings

_POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Order:
    """Workers to wait for, and the command to run then."""

    resource: str
    """Ray's name for what is counted: "GPU" or "CPU"."""
    bundle: float
    """How much of it one worker holds."""
    workers: int
    least: int
    """Workers that are enough after `wait_s` seconds."""
    wait_s: float
    command: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def read(cls, path: str | Path) -> Order:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(**{**values, "command": tuple(values["command"])})


def order_of(
    settings: LaunchSettings, ray_address: str = "auto", beam_options: tuple[str, ...] = ()
) -> Order:
    """What the driver of a launch on Kubernetes does."""
    ray = settings.kuberay
    if ray.gpus and settings.job.extract.num_actors is None:
        # One for each GPU that there is to be, also where some of them are late.
        extract = replace(settings.job.extract, num_actors=ray.gpus)
        settings = replace(settings, job=replace(settings.job, extract=extract))
    command = extract_command(settings, ray_address, beam_options)
    if ray.gpus:
        return Order("GPU", 1.0, ray.gpus, ray.least_gpus, float(ray.wait_s), command)
    cpus = float(ray.cpu_worker_cpus)
    return Order("CPU", cpus, ray.cpu_workers, 1, float(ray.wait_s), command)


def extract_command(
    settings: LaunchSettings, ray_address: str, beam_options: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """`tapirus extract` with every setting that is not the default."""
    job = settings.job
    command = ["tapirus", "extract", *job.inputs, "-o", job.output, *setting_flags(job.extract)]
    command += ["--ray-address", ray_address]
    return (*command, *(("--", *beam_options) if beam_options else ()))


def setting_flags(settings: ExtractSettings) -> list[str]:
    """The flags of `tapirus extract` that give these settings."""
    values = settings_to_dict(settings)
    flags: list[str] = []
    for option in options():
        part, _, name = option.key.rpartition(".")
        value = (values[part] if part else values)[name]
        if value == option.default:
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", "none" if value is None else str(value)]
    return flags


def wait_for_workers(
    order: Order,
    held: Callable[[], float],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Waits until the workers are there, or enough of them when the time is over; how many.

    held: tells how much of the resource the cluster has. Raises LaunchError when too few came.
    """
    deadline = clock() + order.wait_s
    while True:
        there = int(held() / order.bundle + 1e-6)
        if there >= order.workers or (there >= order.least and clock() >= deadline):
            return there
        if clock() >= deadline:
            raise LaunchError(
                f"{there} of {order.workers} {order.resource} workers came within "
                f"{order.wait_s:g} s, and the run wants at least {order.least}: see `kubectl get "
                "events` for missing quota or spot nodes, or raise kuberay.wait_s"
            )
        sleep(_POLL_SECONDS)


def main(path: str) -> None:
    """Runs an order file; does not return when all goes well."""
    import ray
    from ray.autoscaler.sdk import request_resources

    from pipelines.extract.cluster import connect

    order = Order.read(path)
    connect("auto")
    request_resources(bundles=[{order.resource: order.bundle}] * order.workers)
    try:
        there = wait_for_workers(
            order, lambda: float(ray.cluster_resources().get(order.resource, 0.0))
        )
    finally:
        # From here on trackers hold what they use, and ask for what they wait for.
        request_resources(bundles=[])
        ray.shutdown()
    print(f"{there} of {order.workers} workers are there", flush=True)
    os.execvp(order.command[0], order.command)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ExtractError, OSError, ValueError) as problem:
        sys.exit(f"tapirus: {problem}")
