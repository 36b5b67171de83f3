"""Settings of a tracker training run: one frozen dataclass, one TOML file per experiment."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from models.tapir import CONFIGS
from models.tapir.losses import LossConfig
from pipelines.synthetic import SyntheticConfig

CLIPS_PER_SEED = 100_000_000
MAX_SEED = 10


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the result of a training run, besides the textures."""

    model: str = "tapir-mini"
    size: int = 256
    """Side of the square training clips, and the network's initial resolution in training."""
    num_frames: int = 24
    num_queries: int = 64
    num_iterations: int = 4
    """Refinement iterations in training; fewer make early steps cheaper."""
    batch_size: int = 4
    steps: int = 50_000
    learning_rate: float = 1e-3
    warmup_steps: int = 1000
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    bf16: bool = True
    seed: int = 0
    validation_clips: int = 8
    validate_every: int = 500
    checkpoint_every: int = 100
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        if self.model not in CONFIGS:
            raise ValueError(f"model is {self.model!r}: choose one of {', '.join(CONFIGS)}")
        least = {
            "size": 16,
            "num_frames": 1,
            "num_queries": 1,
            "num_iterations": 1,
            "batch_size": 1,
            "steps": 1,
            "warmup_steps": 0,
            "validation_clips": 1,
            "validate_every": 1,
            "checkpoint_every": 1,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} is {getattr(self, name)}: must be at least {bound}")
        # Each seed has its own range of clips, and those above are for validation.
        if not 0 <= self.seed < MAX_SEED:
            raise ValueError(f"seed is {self.seed}: must lie in 0 to {MAX_SEED - 1}")
        if self.steps * self.batch_size > CLIPS_PER_SEED:
            raise ValueError(
                f"{self.steps} steps of {self.batch_size} clips are more than the "
                f"{CLIPS_PER_SEED:,} clips of a seed"
            )

    def clips(self) -> SyntheticConfig:
        """The generator settings of the training clips."""
        return SyntheticConfig(
            num_frames=self.num_frames,
            height=self.size,
            width=self.size,
            num_queries=self.num_queries,
        )


def load_config(path: str | Path) -> TrainConfig:
    """Read a TOML file with fields of :class:`TrainConfig`; losses under ``[loss]``.

    Raises ValueError naming the file, and the field where a name is unknown or a value is of
    another type or out of range.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        loss = values.pop("loss", {})
        if not isinstance(loss, dict):
            raise ValueError("loss must be a table of loss settings")
        return _checked(TrainConfig, {**values, "loss": _checked(LossConfig, loss, "loss.")})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _checked(cls: type[Any], values: dict[str, Any], prefix: str = "") -> Any:
    hints = get_type_hints(cls)
    checked = {}
    for name, value in values.items():
        if name not in hints:
            raise ValueError(
                f"unknown setting {prefix + name!r}; known: {', '.join(sorted(hints))}"
            )
        checked[name] = _as_type(prefix + name, value, hints[name])
    return cls(**checked)


def _as_type(name: str, value: Any, hint: Any) -> Any:
    """A TOML value as the type of its field."""
    parts = get_args(hint)
    if get_origin(hint) is tuple and isinstance(value, list) and len(value) == len(parts):
        return tuple(_as_type(name, *pair) for pair in zip(value, parts, strict=True))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number:
        return float(value)
    if type(value) is hint:
        return value
    shown = f"{len(parts)} numbers" if parts else f"of type {hint.__name__}"
    raise ValueError(f"{name} is {value!r}: must be {shown}")
