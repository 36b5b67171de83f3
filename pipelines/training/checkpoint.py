"""Training state on disk: written under a temporary name, then renamed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass
class TrainState:
    """All that a run needs to continue exactly where it stopped."""

    step: int
    model: dict[str, Any]
    ema: dict[str, torch.Tensor]
    optimizer: dict[str, Any]


def save_state(path: Path, state: TrainState) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(vars(state), temporary)
    os.replace(temporary, path)


def load_state(path: Path) -> TrainState:
    """Raises ValueError naming the file where it is no training state."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        return TrainState(**values)
    except (TypeError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is not a training checkpoint of this version: {error}") from error
