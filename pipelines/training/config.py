"""Settings of a tracker training run: one frozen dataclass, one TOML file per experiment."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.tapir.losses import LossConfig
from pipelines.synthetic import SyntheticConfig


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

    Raises ValueError naming the file and the field where a name is unknown.
    """
    values = tomllib.loads(Path(path).read_text())
    loss = _checked(LossConfig, values.pop("loss", {}), path)
    if "betas" in values:
        values["betas"] = tuple(values["betas"])
    return _checked(TrainConfig, {**values, "loss": loss}, path)


def _checked(cls: type[Any], values: dict[str, Any], path: str | Path) -> Any:
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"{path}: unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )
    return cls(**values)
