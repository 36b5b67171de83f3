"""What can be asked of an animation: one set of settings for the command line and for Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from models.animation.controls import Drag, Pin

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool

MAX_SAMPLES = 64


@dataclass(frozen=True)
class AnimationSettings:
    """Settings of one call. Raises ValueError for what is out of range.

    Drags, pins and the mask are in raster pixels of the photo: (0, 0) is the upper left corner of
    its upper left pixel (docs/coordinates.md).
    """

    samples: int = 1
    """Different motions of the same photo."""
    drags: tuple[Drag, ...] = ()
    """What is at (x0, y0) arrives at (x1, y1)."""
    pins: tuple[Pin, ...] = ()
    """What is at (x, y) stays there."""
    mask: Bool[np.ndarray, "H W"] | None = field(default=None, compare=False)
    """True where the picture keeps still: of the photo's proportions, in any resolution."""
    strength: float = 1.0
    """Factor on the length of the motion, 0 to 4."""
    loop: bool = False
    """The motion goes forth and back, and ends where it began."""
    fit: Literal["auto", "crop", "fit"] = "auto"
    """What the models see: the centre square of the photo ("crop"), or all of it between borders
    ("fit"). "auto": the square, unless there is a mask, or a drag or pin beside it."""
    steps: int = 20
    """Denoising steps of the trajectories."""
    pixel_steps: int = 1
    """Denoising steps of what comes into view; 0: it is filled from around it, without a model."""
    guidance: float = 2.0
    """How much more the photo counts than without guidance, which is 1."""
    temperature: float = 1.0
    """How far the motion goes from what is typical; lower is calmer."""
    max_stretch: float = 0.4
    """By how much of their distance neighbouring points may part; wilder motions are made smaller,
    so that the photo does not tear."""
    fps: float = 15.0
    """Frames per second of the video; motions were learned at 15."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("samples", 1, MAX_SAMPLES),
            ("steps", 1, 1000),
            ("pixel_steps", 0, 1000),
            ("strength", 0, 4),
            ("guidance", 0, 20),
            ("temperature", 0, 2),
            ("max_stretch", 0, 100),
            ("fps", 1, 60),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{name} is {value}: must lie in {low} to {high}")
        if self.fit not in ("auto", "crop", "fit"):
            raise ValueError(f"fit is {self.fit!r}: must be auto, crop or fit")
