"""`tapirus launch` on a bare machine: help, plans, manifests, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipelines.cli.launch import command
from pipelines.cli.main import cli

TOML = """
[job]
name = "demo"
inputs = ["gs://bucket/in/"]
output = "gs://bucket/out"
[target]
project = "my-project"
region = "europe-west4"
[image]
repository = "registry.example/tapirus"
tag = "1.2"
[dataflow]
ray_host = "10.0.0.9"
source_ranges = "10.0.0.0/20"
temp = "gs://bucket/tmp"
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    # Neither rendering nor planning needs any tool.
    monkeypatch.setenv("PATH", "/nowhere")
    file = tmp_path / "run.toml"
    file.write_text(TOML)
    return str(file)


def test_help_teaches() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    for part in ("--target", "--dry-run", "--render", "tapirus launch run.toml --target kuberay"):
        assert part in result.output
    assert "launch" in CliRunner().invoke(cli, ["--help"]).output


@pytest.mark.parametrize("target", ["kuberay", "flink", "dataflow"])
def test_manifests_are_written_without_a_cluster(
    settings: str, tmp_path: Path, target: str
) -> None:
    folder = tmp_path / "out"
    result = CliRunner().invoke(command, [settings, "--target", target, "--render", str(folder)])
    assert result.exit_code == 0, result.output
    (job,) = yaml.safe_load_all((folder / "rayjob.yaml").read_text())
    assert job["metadata"]["name"] == "demo"
    assert f"kubectl apply -k {folder}" in result.output
    assert "delete rayjob demo" in result.output


@pytest.mark.parametrize("target", ["kuberay", "flink", "local-cluster"])
def test_a_dry_run_tells_the_plan(settings: str, target: str) -> None:
    result = CliRunner().invoke(command, [settings, "--target", target, "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "gs://bucket/out" in result.output


def test_a_dry_run_builds_the_dataflow_job(settings: str) -> None:
    result = CliRunner().invoke(command, [settings, "--target", "dataflow", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "job       builds: " in result.output
    assert "not submitted" in result.output


def test_settings_are_checked_before_a_tool_is_looked_for(settings: str) -> None:
    Path(settings).write_text(TOML.replace('tag = "1.2"', ""))
    result = CliRunner().invoke(command, [settings, "--target", "kuberay"])
    assert "image.tag is missing" in str(result.exception)


def test_without_kubectl_a_launch_says_what_to_install(settings: str) -> None:
    result = CliRunner().invoke(command, [settings])
    assert "kubectl is not installed here" in str(result.exception)


def test_an_unknown_target_is_wrong_usage(settings: str) -> None:
    assert CliRunner().invoke(command, [settings, "--target", "mars"]).exit_code == 2
