"""The manifests of infra/kubernetes, and those that a launch renders: valid, whole, up to date."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml
from infra_files import INFRA, build, documents, key, pod_templates, validate

from pipelines.launch import launch_from_dict, make_plan, with_values

Objects = dict[tuple[str, str], dict[str, Any]]
FOLDER = INFRA / "kubernetes"
OVERLAYS = ("cpu", "gpu", "standing")
TARGETS = ("kuberay", "dataflow", "flink")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rendered(target: str, **kuberay: Any) -> Objects:
    values = tomllib.loads((INFRA / "settings.example.toml").read_text(encoding="utf-8"))
    settings = with_values(launch_from_dict(values, target), kuberay=kuberay)
    return {key(item): item for items in make_plan(settings).files.values() for item in items}


def everything() -> Iterator[tuple[str, Objects]]:
    for target in TARGETS:
        yield target, rendered(target)
    yield "cpu", rendered("kuberay", gpus=0)
    yield "standing", rendered("kuberay", keep_cluster=True)
    yield "on demand", rendered("kuberay", spot=False)


ALL = dict(everything())


@pytest.mark.parametrize("name", ALL)
def test_every_object_is_one_that_kubernetes_takes(name: str) -> None:
    for item in ALL[name].values():
        validate(item)


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlays_are_what_a_launch_renders(name: str, generate: ModuleType) -> None:
    wanted = make_plan(generate.overlay_settings()[name]).files
    made = build(FOLDER / "overlays" / name)
    assert made == {key(item): item for items in wanted.values() for item in items}
    for item in made.values():
        validate(item)


def test_the_files_are_up_to_date(generate: ModuleType) -> None:
    wanted = generate.files()
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml")}
    assert there == wanted.keys()
    for path, text in wanted.items():
        assert (FOLDER / path).read_text(encoding="utf-8") == text, (
            f"{path} is old: python infra/kubernetes/generate.py"
        )


@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_agrees(name: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    folder = FOLDER / "overlays" / name
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True
    )
    made = {key(item): item for item in yaml.safe_load_all(done.stdout)}
    assert made == build(folder)


def test_a_difference_is_found_and_undone(generate: ModuleType) -> None:
    before = {"a": {"b": [1, {"c": 2}]}, "gone/x": 1}
    after = {"a": {"b": [1, {"c": 3}, 4]}, "new~": 2}
    assert generate.difference(before, after) == [
        {"op": "replace", "path": "/a/b/1/c", "value": 3},
        {"op": "add", "path": "/a/b/-", "value": 4},
        {"op": "remove", "path": "/gone~1x"},
        {"op": "add", "path": "/new~0", "value": 2},
    ]


@pytest.mark.parametrize("name", ALL)
def test_everything_that_is_named_is_there(name: str) -> None:
    objects = ALL[name]
    (namespace,) = (item["metadata"]["name"] for item in objects.values()
                    if item["kind"] == "Namespace")  # fmt: skip
    templates = [found for item in objects.values() for found in pod_templates(item)]
    assert templates
    for item in objects.values():
        if item["kind"] != "Namespace":
            assert item["metadata"]["namespace"] == namespace
    for template in templates:
        pod = template["spec"]
        assert ("ServiceAccount", pod["serviceAccountName"]) in objects
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for volume in pod.get("volumes", []):
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in objects
        for container in pod["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
    for item in objects.values():
        for selector in selectors(item):
            matched = [
                template for template in templates
                if selector.items() <= template["metadata"]["labels"].items()
            ]  # fmt: skip
            assert matched, f"{key(item)} selects nothing: {selector}"


def selectors(item: dict[str, Any]) -> Iterator[dict[str, str]]:
    spec = item.get("spec", {})
    if item["kind"] == "Service":
        yield spec["selector"]
    if item["kind"] == "PodDisruptionBudget":
        yield spec["selector"]["matchLabels"]
    if item["kind"] == "NetworkPolicy":
        yield spec["podSelector"]["matchLabels"]


@pytest.mark.parametrize("name", ALL)
def test_pods_are_held_to_the_restricted_profile(name: str) -> None:
    """The namespace enforces it: a pod that broke it would never start."""
    for item in ALL[name].values():
        for template in pod_templates(item):
            pod = template["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            assert pod["securityContext"]["runAsUser"] > 0
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not pod.get("hostNetwork")
            for volume in pod.get("volumes", []):
                assert volume.keys() <= {"name", "emptyDir", "configMap"}
            for container in pod["containers"]:
                security = container["securityContext"]
                assert security["allowPrivilegeEscalation"] is False
                assert security["capabilities"] == {"drop": ["ALL"]}
                assert security.get("runAsUser", 1) > 0
                assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
                assert ":" in container["image"]
                assert not container["image"].endswith(":latest")


def test_only_the_driver_may_speak_to_kubernetes() -> None:
    objects = rendered("flink")
    tokens = {
        name: item["automountServiceAccountToken"]
        for (kind, name), item in objects.items()
        if kind == "ServiceAccount"
    }
    assert tokens == {"tapirus-driver": True, "tapirus-worker": False}
    roles = {kind for kind, _ in objects} & {"Role", "ClusterRole", "RoleBinding"}
    assert not roles  # the operator binds what the autoscaler needs
    for (kind, _), item in objects.items():
        if kind == "Deployment":
            assert item["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"entryPoint": "x"},
        {"submissionMode": "Direct"},
        {"clusterSelector": {"a": "b"}},
        {"backoffLimit": -1},
        {"rayClusterSpec": {}},
    ],
)
def test_the_schema_of_kuberay_refuses_what_it_should(change: dict[str, Any]) -> None:
    item = rendered("kuberay")[("RayJob", "tapirus")]
    validate(item)
    with pytest.raises(jsonschema.ValidationError):
        validate({**item, "spec": {**item["spec"], **change}})


def test_pod_templates_inside_ray_objects_are_checked_too() -> None:
    item = rendered("kuberay")[("RayJob", "tapirus")]
    pod = item["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    pod["containers"][0]["imagee"] = "x"
    with pytest.raises(Exception, match="imagee"):
        validate(item)


def test_a_patch_that_addresses_nothing_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    (tmp_path / "p.yaml").write_text("- {op: add, path: /data, value: {}}\n")
    text = "resources: [a.yaml]\npatches: [{path: p.yaml, target: {kind: Secret, name: a}}]\n"
    (tmp_path / "kustomization.yaml").write_text(text)
    with pytest.raises(AssertionError, match="addresses nothing"):
        build(tmp_path)
    assert documents(tmp_path / "a.yaml")[0]["kind"] == "ConfigMap"
