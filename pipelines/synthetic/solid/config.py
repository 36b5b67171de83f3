"""Settings of the clips with truly three-dimensional scenes."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class SolidConfig:
    """What a solid scene holds and how it is filmed.

    Size, length, queries, speeds and what a camera does to the pixels come from
    `SyntheticConfig`; numbers below without a unit are probabilities in [0, 1]. Whatever is
    neither falling nor floating stands still before a moving camera.
    """

    falling: float = 0.35  # objects that fall, collide and tumble: needs MuJoCo
    floating: float = 0.2  # objects that glide and turn through each other's way, no collisions
    min_objects: int = 4  # pieces of clutter or moving objects; a table counts as one
    max_objects: int = 9

    # The camera's path. Whatever is left of the sum of the first three is a walk sideways.
    pan: float = 0.35  # the look-at point moves along a random straight line (paper, 3.3)
    orbit: float = 0.2
    dolly: float = 0.15
    shake: float = 0.6  # a hand that holds the camera, on top of its path
    static_camera: float = 0.25  # only where objects move
    shadows: float = 0.8

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("min_objects", "max_objects") and not 0 <= value <= 1:
                raise ValueError(f"{field.name} must be in [0, 1], got {value}")
        if self.falling + self.floating > 1 + 1e-9:
            raise ValueError("falling and floating must not exceed 1 in sum")
        if self.pan + self.orbit + self.dolly > 1 + 1e-9:
            raise ValueError("pan, orbit and dolly must not exceed 1 in sum")
        if not 1 <= self.min_objects <= self.max_objects:
            raise ValueError(
                f"objects must satisfy 1 <= min_objects <= max_objects, got {self.min_objects} "
                f"and {self.max_objects}"
            )
