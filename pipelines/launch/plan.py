"""What a launch would do: files, commands and money, decided before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # Ray brings it

from pipelines.launch import dataflow, flink, kuberay
from pipelines.launch.driver import extract_command
from pipelines.launch.errors import LaunchError
from pipelines.launch.objects import Object
from pipelines.launch.settings import LaunchSettings

_RENDER = {
    "kuberay": kuberay.manifests,
    "dataflow": dataflow.manifests,
    "flink": flink.manifests,
}


@dataclass(frozen=True)
class LaunchPlan:
    """Objects by file, in the order to apply them, and what to tell of them."""

    files: dict[str, list[Object]]
    lines: tuple[tuple[str, str], ...]

    def yaml(self) -> str:
        """All objects as one stream."""
        return "---\n".join(to_yaml(objects) for objects in self.files.values())

    def text(self) -> str:
        """What a person reads."""
        return "\n".join(f"{name:<9} {value}" for name, value in self.lines)


def make_plan(settings: LaunchSettings) -> LaunchPlan:
    """The plan for settings that have been checked."""
    target = settings.target.name
    files = _RENDER[target](settings) if target in _RENDER else {}
    return LaunchPlan(files, tuple(_lines(settings)))


def to_yaml(objects: list[Object]) -> str:
    """Objects as a YAML stream: block style, in the order that they are written in."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=100)


def write_plan(plan: LaunchPlan, folder: Path) -> list[Path]:
    """Writes the files, and a kustomization that names them. Raises LaunchError."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(plan.files),
    }
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, objects in {**plan.files, "kustomization.yaml": [kustomization]}.items():
            (folder / name).write_text(to_yaml(objects), encoding="utf-8")
            written.append(folder / name)
    except OSError as error:
        raise LaunchError(f"{folder}: cannot be written ({error.strerror})") from error
    return written


def hourly_cost(settings: LaunchSettings) -> float:
    """Money an hour while every node of the launch is there, without storage and network."""
    prices, ray = settings.prices, settings.kuberay
    if settings.target.name == "local-cluster":
        return 0.0
    gpus, cpus = ray.gpus, ray.head_cpus
    cpus += ray.gpus * ray.gpu_worker_cpus + ray.cpu_workers * ray.cpu_worker_cpus
    if settings.target.name == "dataflow":
        cpus += settings.dataflow.workers * settings.dataflow.machine_cpus
    if settings.target.name == "flink":
        # Job manager and job server have one each; Beam's workers as much as Flink's.
        cpus += 2 + 2 * settings.flink.workers * settings.flink.worker_cpus
    return gpus * prices.gpu_hour + cpus * prices.cpu_hour


def _lines(settings: LaunchSettings) -> list[tuple[str, str]]:
    job, target = settings.job, settings.target.name
    lines = [
        ("target", target),
        ("inputs", ", ".join(job.inputs) or "those that the dataset knows"),
        ("output", job.output),
    ]
    if target == "local-cluster":
        shape = settings.local_cluster
        each = f"{shape.cpus} CPUs and {shape.gpus} GPUs each"
        lines.append(("cluster", f"{shape.nodes} Ray nodes on this machine, {each}"))
        lines.append(("command", " ".join(extract_command(settings, "HOST:PORT"))))
        return lines
    ray = settings.kuberay
    images = {kuberay.head_image(settings), settings.image.cpu}
    images |= {settings.image.cuda} if ray.gpus else set()
    spot = " on spot nodes" if ray.spot else ""
    workers = f"{ray.cpu_workers} CPU workers of {ray.cpu_worker_cpus} CPUs"
    if ray.gpus:
        workers = f"{ray.gpus} GPU workers ({ray.gpu_type}, from {ray.least_gpus}) and {workers}"
    lines += [
        ("images", ", ".join(sorted(images))),
        ("cluster", f"up to {workers}{spot}, from nothing"),
    ]
    if target == "dataflow":
        flow = settings.dataflow
        lines.append(
            ("beam", f"Dataflow: {flow.workers} {flow.machine} in {settings.target.region}")
        )
    if target == "flink":
        lines.append(("beam", f"Flink: {settings.flink.workers} task managers"))
    cost, currency = hourly_cost(settings), settings.prices.currency
    lines.append(("cost", f"up to {cost:.2f} {currency} an hour, and "
                  f"{settings.prices.gb_month:g} {currency} a GB and month of output"))  # fmt: skip
    objects = [f"{item['kind']}" for items in _RENDER[target](settings).values() for item in items]
    lines.append(("objects", ", ".join(objects)))
    return lines


class _Dumper(yaml.SafeDumper):
    """No anchors, texts of several lines as such, lists indented as people write them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
