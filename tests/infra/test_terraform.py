"""The Terraform files: they parse, name only what is there, and grant little."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
from infra_files import INFRA

FOLDER = INFRA / "terraform"
# Of the resources that are used; more are known to Terraform, and to be looked up when added.
_ATTRIBUTES = {
    "id", "name", "email", "member", "location", "repository_id", "url", "address",
    "ip_cidr_range", "workload_identity_config",
}  # fmt: skip


def unquoted(value: Any) -> Any:
    """python-hcl2 keeps the quotes of texts and adds keys of its own."""
    if isinstance(value, dict):
        return {
            unquoted(key): unquoted(part)
            for key, part in value.items()
            if key not in ("__is_block__", "__comments__")
        }
    if isinstance(value, list):
        return [unquoted(part) for part in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def blocks(kind: str) -> dict[str, Any]:
    """All blocks of a kind over all files, by type and name."""
    found: dict[str, Any] = {}
    for path in sorted(FOLDER.glob("*.tf")):
        with path.open(encoding="utf-8") as file:
            for block in unquoted(hcl2.load(file)).get(kind, []):
                for first, inner in block.items():
                    named = {f"{first}.{name}": body for name, body in inner.items()}
                    made = named if kind == "resource" else {first: inner}
                    assert not found.keys() & made.keys(), made.keys()
                    found |= made
    return found


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from (*strings(key), *strings(part))
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


RESOURCES = blocks("resource")
VARIABLES = blocks("variable")
OUTPUTS = blocks("output")
EXPRESSIONS = "\n".join(
    part
    for text in strings([RESOURCES, OUTPUTS, blocks("provider")])
    for part in re.findall(r"\$\{(.*?)\}", text, re.DOTALL)
)


def test_every_variable_is_typed_described_and_used() -> None:
    assert VARIABLES
    for name, body in VARIABLES.items():
        assert body.get("type"), name
        assert len(body.get("description", "")) > 20, name
        assert re.search(rf"\bvar\.{name}\b", EXPRESSIONS), f"{name} is not used"
    assert set(re.findall(r"\bvar\.(\w+)", EXPRESSIONS)) == VARIABLES.keys()


def test_every_reference_is_to_a_resource_that_is_there() -> None:
    named = set(re.findall(r"\b(google_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\.(\w+))?", EXPRESSIONS))
    assert len(named) > 10
    for kind, name, attribute in named:
        assert f"{kind}.{name}" in RESOURCES, f"{kind}.{name}"
        assert attribute in {*_ATTRIBUTES, ""}, f"{kind}.{name}.{attribute}"


def test_what_may_be_absent_is_counted_where_it_is_used() -> None:
    absent = [name for name, body in RESOURCES.items() if "count" in body]
    assert absent
    for name in absent:
        assert not re.search(rf"\b{re.escape(name)}\.", EXPRESSIONS), name


def test_outputs_are_described() -> None:
    for name, body in OUTPUTS.items():
        assert body.get("description"), name
    assert {"repository", "driver_account", "worker_account", "ray_host"} <= OUTPUTS.keys()


def test_outputs_say_which_setting_they_are() -> None:
    from pipelines.launch import LaunchSettings

    settings = LaunchSettings()
    found = 0
    for body in OUTPUTS.values():
        for table, name in re.findall(r"\b(target|image|dataflow|job)\.(\w+)", body["description"]):
            assert hasattr(getattr(settings, table), name), f"{table}.{name}"
            found += 1
    assert found >= 8


def test_versions_are_pinned() -> None:
    text = (FOLDER / "versions.tf").read_text(encoding="utf-8")
    assert re.search(r'source\s*=\s*"hashicorp/google"\s*version\s*=\s*"\d+\.\d+\.\d+"', text)
    assert "required_version" in text


def test_nobody_gets_more_than_asked() -> None:
    members = {name: body for name, body in RESOURCES.items() if "role" in body}
    roles = {name: body["role"] for name, body in members.items()}
    assert not [role for role in roles.values() if re.search(r"owner|editor|[aA]dmin\b", role)]
    assert not [
        name for name in members if re.search(r"_(binding|policy)\.", name)
    ]  # replace others
    project = {body["role"] for name, body in members.items() if "_project_iam_" in name}
    assert project == {
        "roles/container.defaultNodeServiceAccount", "roles/dataflow.worker",
        "roles/dataflow.developer",
    }  # fmt: skip
    assert roles["google_storage_bucket_iam_member.worker"] == "roles/storage.objectViewer"
    assert roles["google_storage_bucket_iam_member.driver"] == "roles/storage.objectUser"


def test_pods_are_bound_by_the_names_that_a_launch_gives_them() -> None:
    from pipelines.launch import LaunchSettings
    from pipelines.launch.objects import account_name

    for role in ("driver", "worker"):
        body = RESOURCES[f"google_service_account_iam_member.{role}"]
        account = account_name(LaunchSettings(), role)
        assert body["member"].endswith(f"[${{var.namespace}}/{account}]")


def test_the_bucket_is_private_and_cleans_up() -> None:
    bucket = RESOURCES["google_storage_bucket.main"]
    assert bucket["uniform_bucket_level_access"] is True
    assert bucket["public_access_prevention"] == "enforced"
    assert bucket["versioning"] == [{"enabled": False}]
    actions = [rule["action"][0]["type"] for rule in bucket["lifecycle_rule"]]
    assert actions == ["Delete", "AbortIncompleteMultipartUpload"]
    # Never a dataset: only what lies in the folder for temporary files.
    assert bucket["lifecycle_rule"][0]["condition"][0]["matches_prefix"] == ["tmp/"]


def test_workers_scale_from_nothing() -> None:
    for pool in ("cpu", "gpu"):
        body = RESOURCES[f"google_container_node_pool.{pool}"]
        assert body["autoscaling"][0]["total_min_node_count"] == 0
        assert body["node_config"][0]["spot"] == "${var.spot}"
    gpu = RESOURCES["google_container_node_pool.gpu"]["node_config"][0]
    assert gpu["guest_accelerator"][0]["count"] == 1


def test_the_example_gives_what_has_no_default() -> None:
    with (FOLDER / "terraform.tfvars.example").open(encoding="utf-8") as file:
        given = unquoted(hcl2.load(file))
    wanted = {name for name, body in VARIABLES.items() if "default" not in body}
    assert given.keys() == wanted


def test_format() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    files = [str(path) for path in sorted(Path(FOLDER).glob("*.tf"))]
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
