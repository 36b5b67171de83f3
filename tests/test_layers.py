"""The data flows one way: what may import what, read off every file's imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_OURS = ("models", "trajectories", "pipelines", "animate")
# What each package may import of the others.
_BELOW = {
    "models": set(),
    "trajectories": set(),
    "pipelines": {"models", "trajectories"},
    "animate": {"models", "trajectories", "pipelines"},
}
_LAUNCHERS = {"apache_beam", "ray", "click", "rich", "av", "cv2"}


def imports(path: Path) -> Iterator[str]:
    """Names of the packages that a file imports, also within its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", _OURS)
def test_nothing_imports_upwards(package: str) -> None:
    wrong = {
        f"{path.relative_to(_ROOT)} imports {name}"
        for path in (_ROOT / package).rglob("*.py")
        for name in imports(path)
        if name in set(_OURS) - {package} - _BELOW[package]
    }
    assert not wrong


@pytest.mark.parametrize("package", ["models", "trajectories"])
def test_models_and_trajectories_know_nothing_of_launchers(package: str) -> None:
    wrong = {
        f"{path.relative_to(_ROOT)} imports {name}"
        for path in (_ROOT / package).rglob("*.py")
        for name in imports(path)
        if name in _LAUNCHERS
    }
    assert not wrong
