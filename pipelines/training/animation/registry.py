"""The animation models by name, imported when they are asked for."""

from __future__ import annotations

import importlib
from pathlib import Path

from pipelines.training.animation.config import RunConfig
from pipelines.training.animation.kinds import Kind
from pipelines.training.settings import read_settings

KINDS = ("trajectory", "pixel")
CONFIGS = Path(__file__).parent / "configs"


def kind_of(name: str) -> Kind:
    """ "trajectory" or "pixel". Raises ValueError for another name."""
    if name not in KINDS:
        raise ValueError(f"there is no model {name!r}: choose one of {', '.join(KINDS)}")
    module = importlib.import_module(f"pipelines.training.animation.{name}")
    kind: Kind = getattr(module, name.upper())
    return kind


def read_config(kind: Kind, name: str | Path) -> RunConfig:
    """Settings from a TOML file, or those that come along under a name, such as "pixel-small".

    Raises ValueError naming the file and the mistake in it, or the names that there are.
    """
    path = Path(name)
    if not path.is_file():
        bundled = {file.stem: file for file in sorted(CONFIGS.glob(f"{kind.name}-*.toml"))}
        if str(name) not in bundled:
            raise ValueError(
                f"{name}: no such file, and not one of the configurations that come along: "
                f"{', '.join(bundled)}"
            )
        path = bundled[str(name)]
    config: RunConfig = read_settings(path, kind.config)
    return config
