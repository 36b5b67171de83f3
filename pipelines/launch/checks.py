"""Reading a launch file, and checking it before anything starts.

Every refusal is one line that names the file, the setting and what to do.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pipelines.extract import SettingsError
from pipelines.launch.settings import TARGETS, Job, LaunchSettings, launch_from_dict

# Ray's head, the autoscaler and Kubernetes add suffixes to this name, up to 63 characters.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?")
_ACCOUNT = re.compile(r"[a-z][-a-z0-9]{4,28}[a-z0-9]@[-a-z0-9.:]+\.iam\.gserviceaccount\.com")


def load_launch(path: str | Path, target: str | None = None) -> LaunchSettings:
    """The settings of a file, checked for `target`, or for the one that the file names.

    Raises SettingsError with one line that names the file, the setting and what to do; OSError.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        settings = launch_from_dict(values, target)
        check(settings)
        return settings
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error


def check(settings: LaunchSettings) -> None:
    """Raises SettingsError for what is missing or out of range for the target."""
    target = settings.target.name
    if target not in TARGETS:
        raise SettingsError(f"target.name is {target!r}: choose one of {', '.join(TARGETS)}")
    _check_job(settings.job)
    _check_ranges(settings)
    if target == "local-cluster":
        return
    _check_remote(settings)
    if target == "dataflow":
        _check_dataflow(settings)


def _check_job(job: Job) -> None:
    if not _NAME.fullmatch(job.name):
        raise SettingsError(
            f"job.name is {job.name!r}: use 1 to 30 lower case letters, digits and dashes, "
            "beginning with a letter"
        )
    if not job.output:
        raise SettingsError("job.output is missing: name the dataset, such as gs://bucket/tracks")
    if job.extract.ray_address is not None:
        raise SettingsError("job.extract.ray_address is set by the launch: leave it out")


_LEAST = {
    "kuberay.gpus": 0, "kuberay.least_gpus": 1, "kuberay.wait_s": 1, "kuberay.gpu_worker_cpus": 1,
    "kuberay.gpu_worker_memory": 1, "kuberay.cpu_workers": 0, "kuberay.cpu_worker_cpus": 1,
    "kuberay.cpu_worker_memory": 1, "kuberay.head_cpus": 1, "kuberay.head_memory": 2,
    "kuberay.idle_s": 1, "kuberay.attempts": 1, "dataflow.workers": 1, "dataflow.machine_cpus": 1,
    "flink.workers": 1, "flink.worker_cpus": 1, "flink.worker_memory": 2,
    "local_cluster.nodes": 1, "local_cluster.cpus": 1, "local_cluster.gpus": 0,
    "local_cluster.object_store_mb": 80,  # Ray refuses less
}  # fmt: skip


def _check_ranges(settings: LaunchSettings) -> None:
    for key, bound in _LEAST.items():
        table, _, name = key.partition(".")
        value = getattr(getattr(settings, table), name)
        if not value >= bound:
            raise SettingsError(f"{key} is {value}: must be at least {bound}")
    ray = settings.kuberay
    if ray.gpus == 0 and ray.cpu_workers == 0:
        raise SettingsError("kuberay.gpus and kuberay.cpu_workers are both 0: nothing could track")
    if 0 < ray.gpus < ray.least_gpus:
        raise SettingsError(
            f"kuberay.least_gpus is {ray.least_gpus}: must be at most kuberay.gpus, {ray.gpus}"
        )


def _check_remote(settings: LaunchSettings) -> None:
    """What a run away from this machine needs."""
    name = settings.target.name
    for key, example in (
        ("image.repository", "europe-west4-docker.pkg.dev/PROJECT/tapirus"),
        ("image.tag", "0.1.0"),
    ):
        _require(settings, key, name, example)
    if settings.image.tag == "latest":
        raise SettingsError("image.tag is 'latest': name a version, so that all nodes run the same")
    if not _NAME.fullmatch(settings.target.namespace):
        raise SettingsError(
            f"target.namespace is {settings.target.namespace!r}: use lower case letters, digits "
            "and dashes"
        )
    for key in ("driver_account", "worker_account"):
        account = getattr(settings.target, key)
        if account and not _ACCOUNT.fullmatch(account):
            raise SettingsError(
                f"target.{key} is {account!r}: must be the address of a Google service account, "
                "NAME@PROJECT.iam.gserviceaccount.com"
            )
    for where in ("output", "inputs"):
        value = getattr(settings.job, where)
        for url in [value] if isinstance(value, str) else value:
            if "://" not in url:
                raise SettingsError(
                    f"job.{where}: {url} lies on this machine, and a {name} run is elsewhere: "
                    "use a URL such as gs://bucket/…, or --target local-cluster"
                )


def _check_dataflow(settings: LaunchSettings) -> None:
    for key, example in (
        ("target.project", "my-project"),
        ("target.region", "europe-west4"),
        ("dataflow.ray_host", "10.10.0.10, `terraform output ray_host`"),
        ("dataflow.source_ranges", "10.10.0.0/20, `terraform output subnetwork_range`"),
        ("dataflow.temp", "gs://bucket/tmp"),
    ):
        _require(settings, key, "dataflow", example)
    if not settings.dataflow.temp.startswith("gs://"):
        raise SettingsError(f"dataflow.temp is {settings.dataflow.temp!r}: must be a gs:// folder")


def _require(settings: LaunchSettings, key: str, target: str, example: str) -> None:
    table, _, name = key.partition(".")
    if not getattr(getattr(settings, table), name):
        raise SettingsError(f"{key} is missing: --target {target} needs it, such as {example}")
