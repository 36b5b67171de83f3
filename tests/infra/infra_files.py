"""What the tests of infra/ share: its place, its manifests, and what checks them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

CHECKOUT = Path(__file__).resolve().parents[2]
INFRA = CHECKOUT / "infra"
KUBERNETES = "1.34"  # GKE's regular channel
_SCHEMA = json.loads(
    (Path(__file__).parent / "schemas/kuberay-1.6.2.json").read_text(encoding="utf-8")
)
_KUBERAY = Draft202012Validator(_SCHEMA)
_WRAPPER = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "template"}}


def documents(path: Path) -> list[Any]:
    """All documents of a YAML file."""
    return [doc for doc in yaml.safe_load_all(path.read_text(encoding="utf-8")) if doc is not None]


def validate(item: dict[str, Any]) -> None:
    """Raises ValidationError of one kind or the other for an object that the API would refuse."""
    if item["apiVersion"].startswith("ray.io/"):
        _KUBERAY.validate(item)
        for template in pod_templates(item):
            kubernetes_validate.validate({**_WRAPPER, "template": template}, KUBERNETES, True)
        return
    kubernetes_validate.validate(item, KUBERNETES, True)


def pod_templates(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The pod templates within an object."""
    return list(_templates(item))


def _templates(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        spec = value.get("spec")
        if isinstance(spec, dict) and "containers" in spec:
            yield value
            return
        for part in value.values():
            yield from _templates(part)
    elif isinstance(value, list):
        for part in value:
            yield from _templates(part)


def key(item: dict[str, Any]) -> tuple[str, str]:
    """Kind and name, which tell the objects of a launch apart."""
    return item["kind"], item["metadata"]["name"]


def build(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What kustomize makes of a folder, for what is used here: resources and JSON patches.

    Raises AssertionError for a resource or patch that is missing, named twice, or that addresses
    nothing; for a file of the folder that nothing names; and for any other feature.
    """
    (kustomization,) = documents(folder / "kustomization.yaml")
    used = {"apiVersion", "kind", "resources", "patches"}
    assert kustomization.keys() <= used, f"{folder}: beyond {used}"
    objects: dict[tuple[str, str], dict[str, Any]] = {}
    for name in kustomization["resources"]:
        path = (folder / name).resolve()
        assert path.exists(), f"{folder}: no {name}"
        found = build(path) if path.is_dir() else {key(item): item for item in documents(path)}
        assert not objects.keys() & found.keys(), f"{folder}: {name} makes an object again"
        objects |= copy.deepcopy(found)
    for patch in kustomization.get("patches", []):
        target = (patch["target"]["kind"], patch["target"]["name"])
        assert target in objects, f"{folder}: {patch['path']} addresses nothing: {target}"
        (operations,) = documents(folder / patch["path"])
        for operation in operations:
            _apply(objects[target], operation)
    named = {*kustomization["resources"], *(p["path"] for p in kustomization.get("patches", []))}
    extra = {path.name for path in folder.iterdir()} - named - {"kustomization.yaml"}
    assert not extra, f"{folder}: nothing names {extra}"
    return objects


def _apply(value: Any, operation: dict[str, Any]) -> None:
    *parents, last = (
        part.replace("~1", "/").replace("~0", "~") for part in operation["path"][1:].split("/")
    )
    for part in parents:
        value = value[int(part)] if isinstance(value, list) else value[part]
    kind = operation["op"]
    if isinstance(value, list):
        assert (kind, last) == ("add", "-"), operation
        value.append(operation["value"])
    elif kind == "remove":
        del value[last]
    else:
        assert kind in ("add", "replace"), operation
        assert (last in value) == (kind == "replace"), operation
        value[last] = operation["value"]
