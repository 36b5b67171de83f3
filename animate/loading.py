"""Saved animation models: one folder holds the network's weights and its schedule of noise.

It is what `tapirus train trajectory` and `tapirus train pixel` leave as OUTPUT/model, and what
`AnimationPipeline.save_pretrained` writes into its folders `trajectory` and `pixel`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DDPMScheduler, SchedulerMixin

import models
from models.animation.solver import fast_solver

BUNDLED = Path(models.__file__).parent / "weights" / "animation"
TRAJECTORY, PIXEL = "trajectory", "pixel"

_CONFIG = "config.json"
_SCHEDULER = "scheduler_config.json"


def load_model(folder: Path, cls: type[Any], dtype: torch.dtype) -> Any:
    """The network in a folder, for inference.

    Raises ValueError naming the folder where it holds no whole model of this class.
    """
    found = _read_json(folder / _CONFIG, folder).get("_class_name")
    if found != cls.__name__:
        raise ValueError(
            f"{folder} holds a {found or 'foreign'} model, not a {cls.__name__}: give a folder "
            "that tapirus trained"
        )
    try:
        # The other way of loading needs a package that is not there, and says so in five lines.
        model = cls.from_pretrained(folder, torch_dtype=dtype, low_cpu_mem_usage=False)
    except Exception as error:  # safetensors and diffusers raise all kinds, some their own
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder} holds no whole {cls.__name__}: {reason}") from error
    return model.eval()


def load_scheduler(folder: Path) -> Any:
    """The sampler of a model.

    The schedule that training used becomes DPM-Solver++; a sampler that a pipeline was saved with
    is taken as it is. Raises ValueError naming the file.
    """
    name = _read_json(folder / _SCHEDULER, folder).get("_class_name")
    cls = getattr(diffusers, str(name), None)
    if not (isinstance(cls, type) and issubclass(cls, SchedulerMixin)):
        raise ValueError(f"{folder / _SCHEDULER} names no sampler of diffusers: {name!r}")
    scheduler: Any = cls.from_pretrained(folder)
    return fast_solver(scheduler) if cls is DDPMScheduler else scheduler


def _read_json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ValueError(
            f"{folder} holds no animation model: there is no {path.name} in it; give the folder "
            "`model` of a training run, or leave it out for the weights that come along"
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged: not a configuration")
    return values
