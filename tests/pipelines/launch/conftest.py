"""Settings that launch, and a stand-in for kubectl."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.launch import LaunchSettings, check, launch_from_dict

VALUES: dict[str, Any] = {
    "job": {"name": "demo", "inputs": ["gs://bucket/in/"], "output": "gs://bucket/out"},
    "target": {"project": "my-project", "region": "europe-west4"},
    "image": {"repository": "registry.example/tapirus", "tag": "1.2"},
    "dataflow": {
        "ray_host": "10.0.0.9",
        "source_ranges": "10.0.0.0/20, 10.1.0.0/20",
        "temp": "gs://bucket/tmp/",
    },
    "prices": {"gpu_hour": 0.5, "cpu_hour": 0.25},
}


@pytest.fixture
def make_settings() -> Callable[..., LaunchSettings]:
    """`make_settings("flink", kuberay={"gpus": 2})`: checked settings, some tables changed."""

    def make(where: str = "kuberay", /, **tables: dict[str, Any]) -> LaunchSettings:
        names = VALUES.keys() | tables.keys()
        merged = {name: {**VALUES.get(name, {}), **tables.get(name, {})} for name in names}
        settings = launch_from_dict(merged, where)
        check(settings)
        return settings

    return make


@pytest.fixture
def fake_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a kubectl first in PATH that writes down its calls: `fake_kubectl(state="Running")`.

    Returns the file of its calls; what it was given on standard input stands beside it, .stdin.
    """

    def make(state: str = "", crd: bool = True, name: str = "demo") -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        log = tmp_path / "calls"
        tool = folder / "kubectl"
        missing = 'echo "Error from server (NotFound): crd not found" >&2; exit 1'
        tool.write_text(
            "#!/bin/sh\n"
            f'echo "$@" >> {log}\n'
            'case "$*" in\n'
            f'*"get crd"*) {"echo customresourcedefinition/x" if crd else missing} ;;\n'
            f'*"get rayjob"*) printf "{state + name if state else ""}" ;;\n'
            f"*apply*) cat > {log}.stdin; echo rayjob/{name} created ;;\n"
            "esac\n"
        )
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return log

    return make
