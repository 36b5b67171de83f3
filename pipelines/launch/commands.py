"""The tools that a launch runs: found or named, run, and their refusals in one line."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.launch.errors import LaunchError

INSTALL = {
    "kubectl": "https://kubernetes.io/docs/tasks/tools/",
    "gcloud": "https://cloud.google.com/sdk/docs/install",
    "docker": "https://docs.docker.com/engine/install/",
    "terraform": "https://developer.hashicorp.com/terraform/install",
}
_SECONDS = 120.0


@dataclass(frozen=True)
class Command:
    """One command, and what it is for."""

    says: str
    argv: tuple[str, ...]

    def line(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(self.argv)


def find_tool(name: str) -> str:
    """Path of a tool. Raises LaunchError that says where to get it."""
    found = shutil.which(name)
    if found is None:
        where = INSTALL.get(name, "your package manager")
        raise LaunchError(f"{name} is not installed here, and the launch needs it: {where}")
    return found


def run(argv: Sequence[str], stdin: str | None = None) -> str:
    """Runs a command and returns what it prints. Raises LaunchError with its last words."""
    path = find_tool(argv[0])
    try:
        done = subprocess.run(
            [path, *argv[1:]],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LaunchError(
            f"`{shlex.join(argv)}` did not answer within {_SECONDS:g} s: is the cluster reachable?"
        ) from None
    if done.returncode:
        words = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
        raise LaunchError(f"`{shlex.join(argv)}` failed: {words or f'exit {done.returncode}'}")
    return done.stdout
