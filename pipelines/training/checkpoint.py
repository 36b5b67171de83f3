"""Training state on disk: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import pickle
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
    """All of the file or none of it. Raises OSError naming it when the disk refuses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    try:
        torch.save(vars(state), temporary)
        os.replace(temporary, path)
    except RuntimeError as error:  # torch's own writer does not tell why
        raise OSError(f"{path} cannot be written: {error}; free some space") from error
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path) -> TrainState:
    """Raises ValueError naming the file where it is no training state."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        return TrainState(**values)
    except (
        *(EOFError, KeyError, RuntimeError, TypeError, ValueError),
        pickle.UnpicklingError,
    ) as error:
        raise ValueError(
            f"{path} is not a training checkpoint, or damaged ({type(error).__name__}): restore "
            "or remove it"
        ) from error
