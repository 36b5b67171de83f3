"""Settings of the training runs of the animation models: one TOML file per experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from models.animation.trajectory_loss import TrajectoryLossConfig
from pipelines.training.animation.clips import Shape
from pipelines.training.animation.data_config import DataConfig


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes that keep a clip a clip. Set one to 0 to leave it out.

    Time is never reversed: tracks start on the grid in the first frame and nowhere else, so the
    reversed clip would have to be tracked anew.
    """

    flip: float = 0.5
    """Share of clips that are mirrored left to right."""
    zoom: float = 1.3
    """Crops show between 1 / zoom of the frame's side and all of it."""
    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.15

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1:
            raise ValueError(f"augment.flip is {self.flip}: must lie in 0 to 1")
        if not (self.zoom == 0 or 1 <= self.zoom <= 4):
            raise ValueError(f"augment.zoom is {self.zoom}: must be 0 or lie in 1 to 4")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"augment.{name} is {getattr(self, name)}: must lie in 0 to 1")


@dataclass(frozen=True)
class OptimConfig:
    """How the weights are found: AdamW, linear warm-up and a cosine to zero, averaged weights."""

    steps: int = 20_000
    batch_size: int = 16
    """Clips per step, over all ranks together."""
    learning_rate: float = 3e-4
    warmup_steps: int = 500
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    bf16: bool = True
    compile: bool = False
    """torch.compile: minutes at the start, faster steps on a GPU."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("warmup_steps", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"optim.{name} is {getattr(self, name)}: must be at least {least}")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"optim.{name} is {getattr(self, name)}: must be positive")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"optim.ema_decay is {self.ema_decay}: must lie in 0 to 1")


@dataclass(frozen=True)
class WatchConfig:
    """What a run writes down on the way, and how often, in steps."""

    validate_every: int = 500
    validation_clips: int = 32
    picture_every: int = 1000
    picture_clips: int = 4
    sampling_steps: int = 20
    """Denoising steps of the pictures."""
    checkpoint_every: int = 500
    checkpoint_minutes: float = 10.0
    """A checkpoint at the latest after so much time, whatever the steps."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not (value > 0 if isinstance(value, float) else value >= 1):
                raise ValueError(f"watch.{name} is {value}: must be positive")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of a training run, besides the dataset.

    ``model`` holds arguments of the model's class as they stand; what else it needs follows from
    the other settings.
    """

    num_frames: int = 24
    size: int = 256
    """Side of the square model frame, pixels."""
    grid: int = 64
    """Points per side of the trajectory grid; that of the dataset."""
    model: dict[str, Any] = field(default_factory=dict)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)

    def __post_init__(self) -> None:
        for name, least in (("num_frames", 2), ("size", 16), ("grid", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: must be at least {least}")
        if self.size % self.grid:
            raise ValueError(f"size is {self.size}: must be a multiple of grid, {self.grid}")

    @property
    def shape(self) -> Shape:
        """What clips must be like."""
        return Shape(self.num_frames, self.size, self.grid)

    @property
    def stride(self) -> int:
        """Pixels from one grid point to the next."""
        return self.size // self.grid


@dataclass(frozen=True)
class TrajectoryRun(RunConfig):
    """Settings of `tapirus train trajectory`."""

    loss: TrajectoryLossConfig = field(default_factory=TrajectoryLossConfig)


@dataclass(frozen=True)
class PixelRun(RunConfig):
    """Settings of `tapirus train pixel`."""

    crop: int = 0
    """Side of the squares of the frame that are denoised in training, pixels; 0: all of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.crop <= self.size:
            raise ValueError(f"crop is {self.crop}: must lie in 0 to size, {self.size}")
