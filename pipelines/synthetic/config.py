"""Settings of the synthetic clip generator."""

from __future__ import annotations

from dataclasses import dataclass, fields

_PROBABILITIES = (
    "foreground_queries",
    "static_layer",
    "perspective",
    "warp",
    "bend",
    "thin",
    "limb",
    "twin",
    "plain",
    "followed",
    "reorder",
    "shading",
    "shadow",
    "motion_blur",
    "blur",
    "low_resolution",
    "noise",
    "jpeg",
    "solid",
)


@dataclass(frozen=True)
class Cameras:
    """How often each kind of camera is used, as weights relative to each other."""

    static: float = 1.0
    drifting: float = 2.5  # wanders, turns and tilts a little of everything
    shaking: float = 2.0  # held in the hand
    zooming: float = 1.5
    panning: float = 2.0  # its look-at point runs along a straight line

    def __post_init__(self) -> None:
        weights = [getattr(self, field.name) for field in fields(self)]
        if min(weights) < 0 or sum(weights) == 0:
            raise ValueError(f"camera weights must be 0 or more, and not all 0: got {weights}")

    @classmethod
    def only(cls, kind: str) -> Cameras:
        """One kind of camera in all clips."""
        return cls(**{field.name: float(field.name == kind) for field in fields(cls)})


@dataclass(frozen=True)
class SyntheticConfig:
    """What a synthetic clip looks like.

    Speeds are in pixels per frame of a clip whose short side is 256; they scale with the frame,
    so one configuration gives the same scenes at any size. Probabilities lie in [0, 1].
    """

    num_frames: int = 24
    height: int = 256
    width: int = 256
    num_queries: int = 64
    foreground_queries: float = 0.5  # largest share of the queries asked on foreground layers

    # The scene.
    min_layers: int = 3  # foreground layers; 0 gives a background only
    max_layers: int = 9
    thin: float = 0.15  # probability that a layer is thin: poles, wires, branches
    twin: float = 0.2  # probability that a layer repeats the look of the one before it
    plain: float = 0.2  # probability that a layer has little texture
    limb: float = 0.15  # probability that a layer is joined to the one before it, and swings there
    reorder: float = 0.2  # probability that two layers swap their depth once

    # Motion. Speeds are drawn log-normally: most layers are slow, a few are fast.
    median_speed: float = 3.5
    speed_spread: float = 0.9  # standard deviation of the logarithm of the speed
    max_speed: float = 24.0
    static_layer: float = 0.1
    perspective: float = 0.6  # probability that a motion tilts the plane
    warp: float = 0.4  # probability that a foreground layer ripples
    bend: float = 0.35  # probability that a foreground layer bends and sways
    cameras: Cameras = Cameras()
    followed: float = 0.3  # probability that a moving camera keeps one layer in its view

    # What camera and codec add. Nothing of it moves a point.
    photometric: bool = True  # False: pure composite, nothing of what follows
    shading: float = 0.4  # soft light and shade
    shadow: float = 0.25  # the edge of a shadow that moves through the picture
    motion_blur: float = 0.3
    blur: float = 0.3
    low_resolution: float = 0.25  # drawn small, and enlarged to the size of the clip
    noise: float = 0.4
    jpeg: float = 0.5

    # Probability of a clip of solid bodies instead of layers.
    solid: float = 0.0
    physics: bool = True  # False: no falling bodies among them, and no need of MuJoCo

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
        if self.median_speed <= 0 or self.speed_spread < 0 or self.max_speed <= 0:
            raise ValueError(
                "median_speed and max_speed must be above 0 and speed_spread not below, got "
                f"{self.median_speed}, {self.max_speed} and {self.speed_spread}"
            )
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
