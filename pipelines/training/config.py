"""Settings of a tracker training run: one frozen dataclass, one TOML file per experiment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.tapir import CONFIGS, TapirConfig
from models.tapir.losses import LossConfig
from pipelines.synthetic import SyntheticConfig
from pipelines.training.settings import read_settings, settings_from

CLIPS_PER_SEED = 100_000_000
MAX_SEED = 10


@dataclass(frozen=True)
class SelfTraining:
    """How a teacher's tracks on real clips become truth, and what the student sees of them.

    Probabilities are in [0, 1].
    """

    clean_size: int = 256
    """Side of the square frames that the teacher tracks."""
    confidence: float = 0.7
    """A point counts where the teacher is at least so sure that it is visible, or hidden."""
    cycle_px: float = 4.0
    """A track counts if the teacher, asked again from another of its points, comes back to the
    first at most so far off, in pixels of a frame whose side is 256."""
    max_stride: int = 3
    """Only every n-th frame is taken, n drawn from 1 to this: faster motion."""
    min_zoom: float = 0.7
    max_zoom: float = 2.0
    """The student's view is magnified by a factor drawn between these at the first and at the last
    frame, about a centre that moves; below 1 it has black borders."""
    flip: float = 0.5
    reverse: float = 0.5
    jitter: float = 0.3
    """Largest relative change of brightness, contrast and saturation."""
    jpeg: float = 0.5

    def __post_init__(self) -> None:
        if self.clean_size < 16 or self.max_stride < 1:
            raise ValueError("real.clean_size must be at least 16 and real.max_stride at least 1")
        if not 0 < self.min_zoom <= self.max_zoom:
            raise ValueError(
                f"real zooms are {self.min_zoom} to {self.max_zoom}: must be positive and ascending"
            )
        for name in ("confidence", "flip", "reverse", "jitter", "jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"real.{name} is {getattr(self, name)}: must lie in 0 to 1")


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
    matching_points: int = 0
    """More points of synthetic clips, for the dense matching loss alone; 0 leaves that loss out."""
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
    checkpoint_minutes: float = 0.0
    """A checkpoint also after so many minutes without one; 0: by steps alone."""
    compile: bool = False
    """Have torch.compile make the network's training step: pays on a GPU after some minutes."""
    flip: bool = False
    """Mirror every other synthetic clip, on average, left to right."""
    reverse: bool = False
    """Play every other synthetic clip, on average, backwards."""
    real_share: float = 0.0
    """Share of the steps that learn from real clips and a teacher's tracks on them."""
    real_weight: float = 1.0
    """Weight of the loss of those steps."""
    network: dict[str, Any] = field(default_factory=dict)
    """Fields of :class:`models.tapir.TapirConfig` that differ from those of ``model``."""
    synthetic: dict[str, Any] = field(default_factory=dict)
    """Fields of :class:`pipelines.synthetic.SyntheticConfig` that differ from its defaults."""
    loss: LossConfig = field(default_factory=LossConfig)
    real: SelfTraining = field(default_factory=SelfTraining)

    def __post_init__(self) -> None:
        if self.model not in CONFIGS:
            raise ValueError(f"model is {self.model!r}: choose one of {', '.join(CONFIGS)}")
        least = {
            "size": 16,
            "num_frames": 1,
            "num_queries": 1,
            "num_iterations": 1,
            "matching_points": 0,
            "batch_size": 1,
            "steps": 1,
            "warmup_steps": 0,
            "validation_clips": 1,
            "validate_every": 1,
            "checkpoint_every": 1,
            "checkpoint_minutes": 0,
            "real_weight": 0,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} is {getattr(self, name)}: must be at least {bound}")
        self.architecture()
        self.clips()
        if not 0 <= self.real_share <= 1:
            raise ValueError(f"real_share is {self.real_share}: must lie in 0 to 1")
        # Each seed has its own range of clips, and those above are for validation.
        if not 0 <= self.seed < MAX_SEED:
            raise ValueError(f"seed is {self.seed}: must lie in 0 to {MAX_SEED - 1}")
        if self.steps * self.batch_size > CLIPS_PER_SEED:
            raise ValueError(
                f"{self.steps} steps of {self.batch_size} clips are more than the "
                f"{CLIPS_PER_SEED:,} clips of a seed"
            )

    def architecture(self) -> TapirConfig:
        """The network as its weights are used: trained ones may refine less, in smaller frames.

        Raises ValueError where ``network`` names no field of a network, or a value of another type.
        """
        chosen = settings_from(TapirConfig, self.network, "network.")
        return replace(
            CONFIGS[self.model], **{name: getattr(chosen, name) for name in self.network}
        )

    def trained_architecture(self) -> TapirConfig:
        """The same at the size of the training clips."""
        changes: dict[str, Any] = {"initial_resolution": (self.size, self.size)}
        if "num_iterations" not in self.network:
            changes["num_iterations"] = self.num_iterations
        return replace(self.architecture(), **changes)

    def clips(self) -> SyntheticConfig:
        """The generator settings of the training clips.

        Raises ValueError where ``synthetic`` names no setting of it, or a value of another type.
        """
        return replace(
            settings_from(SyntheticConfig, self.synthetic, "synthetic."),
            num_frames=self.num_frames,
            height=self.size,
            width=self.size,
            num_queries=self.num_queries + self.matching_points,
        )


def load_config(path: str | Path) -> TrainConfig:
    """Read a TOML file with fields of :class:`TrainConfig`.

    Tables: ``[loss]`` holds fields of `LossConfig`, ``[real]`` those of `SelfTraining`,
    ``[network]`` those of `models.tapir.TapirConfig`, ``[synthetic]`` those of
    `pipelines.synthetic.SyntheticConfig`.

    Raises ValueError naming the file, and the field where a name is unknown or a value is of
    another type or out of range.
    """
    return read_settings(path, TrainConfig)
