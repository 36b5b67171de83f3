"""Writes base and overlays from infra/settings.example.toml: `python infra/kubernetes/generate.py`.

The manifests have one source, `pipelines.launch`; a test compares what stands here with it. The
base holds what the overlays share: the head and a group of CPU workers. `overlays/gpu` is what
`tapirus launch` makes of the example, `overlays/cpu` the same without GPUs and with more CPUs,
`overlays/standing` the first with a RayCluster that outlives its job.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

from pipelines.launch import LaunchSettings, launch_from_dict, with_values
from pipelines.launch.kuberay import manifests
from pipelines.launch.plan import to_yaml

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent / "settings.example.toml"
CPU_WORKERS = 16
_NOTE = "# Made by infra/kubernetes/generate.py from infra/settings.example.toml; edit those.\n"
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def overlay_settings() -> dict[str, LaunchSettings]:
    """What each overlay is rendered from."""
    gpu = launch_from_dict(tomllib.loads(EXAMPLE.read_text(encoding="utf-8")), "kuberay")
    return {
        "gpu": gpu,
        "cpu": with_values(gpu, kuberay={"gpus": 0, "cpu_workers": CPU_WORKERS}),
        "standing": with_values(gpu, kuberay={"keep_cluster": True}),
    }


def files() -> dict[str, str]:
    """Every file, by its path below this folder."""
    overlays = overlay_settings()
    base = manifests(with_values(overlays["gpu"], kuberay={"gpus": 0}))
    made = {f"base/{name}": to_yaml(objects) for name, objects in base.items()}
    made["base/kustomization.yaml"] = to_yaml([{**_KUSTOMIZATION, "resources": list(base)}])
    for name, settings in overlays.items():
        patches, resources = [], ["../../base"]
        for file, objects in manifests(settings).items():
            if file not in base:
                made[f"overlays/{name}/{file}"] = to_yaml(objects)
                resources.append(file)
                continue
            for before, after in zip(base[file], objects, strict=True):
                operations = difference(before, after)
                if not operations:
                    continue
                patch = f"patch-{after['kind'].lower()}.yaml"
                made[f"overlays/{name}/{patch}"] = to_yaml([operations])
                target = {"kind": after["kind"], "name": after["metadata"]["name"]}
                patches.append({"path": patch, "target": target})
        kustomization = {**_KUSTOMIZATION, "resources": resources, "patches": patches}
        made[f"overlays/{name}/kustomization.yaml"] = to_yaml([kustomization])
    return {path: _NOTE + text for path, text in made.items()}


def difference(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """JSON-patch operations (RFC 6902) that make one value of another; lists only grow."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        operations = []
        for key in sorted(before.keys() | after.keys()):
            here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in after:
                operations.append({"op": "remove", "path": here})
            elif key not in before:
                operations.append({"op": "add", "path": here, "value": after[key]})
            else:
                operations += difference(before[key], after[key], here)
        return operations
    if isinstance(before, list) and isinstance(after, list) and len(after) >= len(before):
        operations = []
        for index, pair in enumerate(zip(before, after, strict=False)):
            operations += difference(*pair, f"{path}/{index}")
        added = after[len(before) :]
        return operations + [{"op": "add", "path": f"{path}/-", "value": item} for item in added]
    return [{"op": "replace", "path": path, "value": after}]


def main() -> None:
    for path, text in files().items():
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
