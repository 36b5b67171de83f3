"""Saved models with what is needed to measure them: their noise, settings and held-out clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler

from models.animation.solver import fast_solver
from pipelines.training.animation.config import RunConfig
from pipelines.training.animation.kinds import Kind
from pipelines.training.animation.run import read_record
from pipelines.training.settings import settings_from


@dataclass(frozen=True)
class SavedModel:
    """A model as `tapirus train` left it, ready to sample."""

    model: Any
    scheduler: Any
    """DPM-Solver++."""
    config: RunConfig
    step: int


def load_saved(folder: Path, kind: Kind, device: str = "cpu") -> SavedModel:
    """The averaged weights in the folder ``model`` of a run.

    In bfloat16 if they were trained so. Raises ValueError naming the folder where it holds no such
    model.
    """
    record = read_record(folder)
    if record["kind"] != kind.name:
        raise ValueError(f"{folder} holds a {record['kind']} model, not a {kind.name} model")
    config: RunConfig = settings_from(kind.config, record["config"])
    kept = torch.bfloat16 if config.optim.bf16 else torch.float32
    try:
        # The other way needs a package that is not there, and says so in five lines.
        model = kind.model.from_pretrained(folder, torch_dtype=kept, low_cpu_mem_usage=False)
        scheduler = DDPMScheduler.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder} holds no whole {kind.name} model: {reason}") from error
    return SavedModel(model.to(device).eval(), fast_solver(scheduler), config, record["step"])
