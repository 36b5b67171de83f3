"""Settings of a launch: one file says what to extract, where it runs and what that costs.

`infra/settings.example.toml` is the commented file; `checks` reads it, and says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from pipelines.extract import ExtractSettings, SettingsError, options, settings_from_dict
from pipelines.extract.estimate import Prices
from pipelines.training.settings import settings_from

TargetName = Literal["kuberay", "local-cluster", "dataflow", "flink"]
TARGETS: tuple[TargetName, ...] = get_args(TargetName)


@dataclass(frozen=True)
class Job:
    """What is extracted."""

    name: str = "tapirus"
    """Of the run and of everything made for it: lower case letters, digits and dashes."""
    inputs: tuple[str, ...] = ()
    output: str = ""
    extract: ExtractSettings = field(default_factory=ExtractSettings)


@dataclass(frozen=True)
class Target:
    """Where it runs."""

    name: str = "kuberay"
    project: str = ""
    region: str = ""
    namespace: str = "tapirus"
    context: str = ""
    """Of kubectl; empty: the current one."""
    driver_account: str = ""
    worker_account: str = ""
    """Google service accounts of the driver (reads and writes) and of Ray's workers (read)."""


@dataclass(frozen=True)
class Image:
    """The container images: REPOSITORY/tapirus-cpu:TAG, -cuda and, for Dataflow, -dataflow."""

    repository: str = ""
    tag: str = ""

    @property
    def cpu(self) -> str:
        """Of the head, the CPU workers and Beam's workers beside Flink."""
        return f"{self.repository}/tapirus-cpu:{self.tag}"

    @property
    def cuda(self) -> str:
        """Of the GPU workers."""
        return f"{self.repository}/tapirus-cuda:{self.tag}"

    @property
    def dataflow(self) -> str:
        """Of Dataflow's workers, and of the head that submits to it: Google's parts are in it."""
        return f"{self.repository}/tapirus-dataflow:{self.tag}"


@dataclass(frozen=True)
class KubeRay:
    """The Ray cluster on Kubernetes. CPUs and memory (GiB) are asked for and are the limit."""

    gpus: int = 8
    """GPU workers at most, one GPU each; 0: track on CPUs."""
    least_gpus: int = 1
    """The run starts with so many when the rest has not come within `wait_s` seconds."""
    wait_s: int = 1800
    gpu_type: str = "nvidia-l4"
    gpu_worker_cpus: int = 7
    gpu_worker_memory: int = 24
    cpu_workers: int = 4
    """CPU workers at most; they search for shot cuts and decode what GPU workers have no room for,
    and track where there are no GPUs."""
    cpu_worker_cpus: int = 7
    cpu_worker_memory: int = 24
    head_cpus: int = 4
    head_memory: int = 12
    spot: bool = True
    idle_s: int = 300
    """A worker that has had nothing to do for so long is given back."""
    attempts: int = 3
    """Clusters that are tried one after the other when the head is lost; each goes on."""
    keep_cluster: bool = False
    """Keep the cluster, without workers, when the run is over: the next run starts faster."""


@dataclass(frozen=True)
class Dataflow:
    """Beam's workers on Dataflow; they coordinate and write, the Ray cluster tracks."""

    ray_host: str = ""
    """Internal address that the Ray cluster listens on, reserved by Terraform."""
    subnetwork: str = ""
    worker_account: str = ""
    temp: str = ""
    """gs:// folder for the job's own files."""
    machine: str = "n2-standard-4"
    machine_cpus: int = 4
    workers: int = 2
    source_ranges: str = ""
    """Addresses that may speak to the Ray cluster, such as the subnetwork's 10.0.0.0/20."""


@dataclass(frozen=True)
class Flink:
    """A Flink session cluster beside the Ray cluster."""

    image: str = "flink:1.20.3-scala_2.12-java17"
    job_server_image: str = "apache/beam_flink1.20_job_server:2.77.0"
    workers: int = 2
    worker_cpus: int = 2
    worker_memory: int = 6


@dataclass(frozen=True)
class LocalCluster:
    """Several Ray nodes on this machine. GPUs are on paper unless the machine has them."""

    nodes: int = 2
    cpus: int = 1
    gpus: int = 0
    object_store_mb: int = 200


@dataclass(frozen=True)
class LaunchSettings:
    """All tables of a launch file."""

    job: Job = field(default_factory=Job)
    target: Target = field(default_factory=Target)
    image: Image = field(default_factory=Image)
    kuberay: KubeRay = field(default_factory=KubeRay)
    dataflow: Dataflow = field(default_factory=Dataflow)
    flink: Flink = field(default_factory=Flink)
    local_cluster: LocalCluster = field(default_factory=LocalCluster)
    prices: Prices = field(default_factory=Prices)


def launch_from_dict(values: Mapping[str, Any], target: str | None = None) -> LaunchSettings:
    """The same from a mapping as TOML gives it, unchecked but for names and types."""
    values = {
        name.replace("-", "_") if name == "local-cluster" else name: value
        for name, value in values.items()
    }
    job = values.get("job", {})
    if isinstance(job, Mapping):
        values["job"] = job = dict(job)
        inputs, extract = job.pop("inputs", []), job.pop("extract", {})
    else:
        inputs, extract = [], {}
    settings = settings_from(LaunchSettings, values)
    if not isinstance(inputs, list) or not all(isinstance(item, str) for item in inputs):
        raise SettingsError('job.inputs must be a list of texts, such as ["gs://bucket/videos/"]')
    if not isinstance(extract, Mapping):
        raise SettingsError("job.extract must be a table of settings of `tapirus extract`")
    try:
        parsed = settings_from_dict(_with_none(extract))
    except SettingsError as error:
        raise SettingsError(f"[job.extract] {error}") from error
    return with_values(
        settings,
        job={"inputs": tuple(inputs), "extract": parsed},
        target={"name": target or settings.target.name},
    )


def with_values(settings: LaunchSettings, **tables: dict[str, Any]) -> LaunchSettings:
    """A copy with some values of some tables changed: `with_values(s, kuberay={"gpus": 0})`."""
    changed = {name: replace(getattr(settings, name), **new) for name, new in tables.items()}
    return replace(settings, **changed)


def _with_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """The word "none" as None where a setting may be that: TOML has no value of its own for it."""
    made = {key: dict(part) if isinstance(part, Mapping) else part for key, part in values.items()}
    for option in options():
        part, _, name = option.key.rpartition(".")
        table = made.get(part) if part else made
        optional = type(None) in get_args(option.type)
        if optional and isinstance(table, dict) and table.get(name) == "none":
            table[name] = None
    return made
