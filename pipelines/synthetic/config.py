"""Settings of the synthetic clip generator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SyntheticConfig:
    """What a synthetic clip looks like.

    Speeds are in pixels per frame of a clip whose short side is 256; they scale with the frame,
    so one configuration gives the same scenes at any size. Probabilities are in [0, 1].
    """

    num_frames: int = 24
    height: int = 256
    width: int = 256
    num_queries: int = 64
    min_layers: int = 2  # foreground layers; 0 gives a background only
    max_layers: int = 8
    foreground_queries: float = 0.5  # share of the queries asked on foreground layers

    # Speeds are drawn log-normally: most clips are mild, a few are fast.
    median_speed: float = 4.5
    speed_spread: float = 0.6  # standard deviation of the logarithm of the speed
    max_speed: float = 12.0
    static_camera: float = 0.1
    static_layer: float = 0.05
    perspective: float = 0.5  # probability that a motion tilts the plane
    warp: float = 0.5  # probability that a foreground layer ripples (non-rigid)
    twin: float = 0.2  # probability that a layer repeats the look of the one before it
    reorder: float = 0.15  # probability that two layers swap their depth once

    photometric: bool = True  # False: pure composite, no light changes, noise, blur or compression
    shading: float = 0.4
    motion_blur: float = 0.15
    blur: float = 0.3
    noise: float = 0.5
    jpeg: float = 0.5

    def __post_init__(self) -> None:
        if min(self.num_frames, self.num_queries) < 1 or min(self.height, self.width) < 16:
            raise ValueError(
                "a synthetic clip needs at least 1 frame, 1 query and 16x16 pixels, got "
                f"{self.num_frames} frames, {self.num_queries} queries, {self.width}x{self.height}"
            )
        if not 0 <= self.min_layers <= self.max_layers:
            raise ValueError(
                f"layers must satisfy 0 <= min_layers <= max_layers, got {self.min_layers} and "
                f"{self.max_layers}"
            )
