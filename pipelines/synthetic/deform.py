"""Non-rigid motion: smooth displacements of a layer's texture, with exact inverses.

`displace` takes points of the flat plane to the texture, which is what drawing needs; `flatten`
is its inverse, which is what tracks need. Coordinates are raster coordinates of the texture, as
arrays or as tensors: the formulas are the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", "np.ndarray", "torch.Tensor")


class Deformation(Protocol):
    """A displacement of the plane that varies smoothly with place and time."""

    def displace(self, x: Array, y: Array, times: Array | float) -> tuple[Array, Array]:
        """Texture coordinates (x, y) of points of the flat plane; all arguments broadcast."""

    def flatten(self, x: Array, y: Array, times: Array | float) -> tuple[Array, Array]:
        """Inverse of `displace`."""

    def reach(self, width: int, height: int) -> tuple[float, float]:
        """Bounds of the displacement in x and in y over a texture of this size."""


# The parameters are plain floats: they leave the precision of the points as it is, and
# rendering is much faster in single precision.
@dataclass(frozen=True)
class Ripple:
    """A travelling wave that displaces the texture, in texture pixels.

    The slope of the displacement stays below 0.4, so that fixed-point iteration inverts it to
    rounding error.
    """

    # One entry for the x and one for the y displacement.
    amplitude: tuple[float, float]
    wave_x: tuple[float, float]  # radians per pixel
    wave_y: tuple[float, float]
    frequency: tuple[float, float]  # radians per frame
    phase: tuple[float, float]

    def displace(self, x: Array, y: Array, times: Array | float) -> tuple[Array, Array]:
        dx, dy = (
            self.amplitude[i]
            * sine(
                self.wave_x[i] * x
                + self.wave_y[i] * y
                + (self.frequency[i] * times + self.phase[i])
            )
            for i in (0, 1)
        )
        return x + dx, y + dy

    def flatten(self, x: Array, y: Array, times: Array | float) -> tuple[Array, Array]:
        flat_x, flat_y = x, y
        for _ in range(24):
            reached_x, reached_y = self.displace(flat_x, flat_y, times)
            flat_x, flat_y = flat_x + (x - reached_x), flat_y + (y - reached_y)
        return flat_x, flat_y

    def reach(self, width: int, height: int) -> tuple[float, float]:
        return abs(self.amplitude[0]), abs(self.amplitude[1])


@dataclass(frozen=True)
class Bend:
    """Beyond a line the texture leans sideways, like a reed in the wind or an arm at its elbow.

    The displacement runs along the line and depends only on the distance from it: subtracting it
    again is the exact inverse.
    """

    root: tuple[float, float]  # a point of the line that stays at rest, in texture pixels
    direction: float  # radians: from the line to the part that leans
    softness: float  # texture pixels over which the lean sets in, above 0; small: a hinge
    lean: float  # tangent of the angle about which it sways
    sway: float  # amplitude of that tangent
    frequency: float  # radians per frame
    phase: float

    def displace(self, x: Array, y: Array, times: Array | float) -> tuple[Array, Array]:
        shift = self._shift(x, y, times)
        return x - math.sin(self.direction) * shift, y + math.cos(self.direction) * shift

    def flatten(self, x: Array, y: Array, times: Array | float) -> tuple[Array, Array]:
        shift = self._shift(x, y, times)
        return x + math.sin(self.direction) * shift, y - math.cos(self.direction) * shift

    def reach(self, width: int, height: int) -> tuple[float, float]:
        most = (abs(self.lean) + abs(self.sway)) * (
            max(self.root[0], width - self.root[0]) * abs(math.cos(self.direction))
            + max(self.root[1], height - self.root[1]) * abs(math.sin(self.direction))
        )
        return most * abs(math.sin(self.direction)), most * abs(math.cos(self.direction))

    def _shift(self, x: Array, y: Array, times: Array | float) -> Array:
        along = math.cos(self.direction) * (x - self.root[0])
        distance = along + math.sin(self.direction) * (y - self.root[1])
        distance = distance.clip(min=0)
        tangent = self.lean + self.sway * sine(self.frequency * times + self.phase)
        return tangent * (distance * (distance / (distance + self.softness)))


def sine(angle: Any) -> Any:
    """Sine of a number, an array or a tensor, as what it was."""
    if isinstance(angle, float):
        return math.sin(angle)
    return np.sin(angle) if isinstance(angle, np.ndarray) else angle.sin()


def random_ripple(rng: np.random.Generator, width: int, height: int) -> Ripple:
    """A ripple for a texture of this size."""
    length = rng.uniform(0.35, 1.2, 2) * max(width, height)
    direction = rng.uniform(0, 2 * np.pi, 2)
    number = 2 * np.pi / length
    slope = rng.uniform(0.05, 0.28, 2)
    return Ripple(
        _pair(slope / number),
        _pair(number * np.cos(direction)),
        _pair(number * np.sin(direction)),
        _pair(rng.uniform(-0.7, 0.7, 2)),
        _pair(rng.uniform(0, 2 * np.pi, 2)),
    )


def random_bend(rng: np.random.Generator, width: int, height: int) -> Bend:
    """A bend somewhere within a texture of this size."""
    return Bend(
        _pair(rng.uniform(0.3, 0.7, 2) * (width, height)),
        float(rng.uniform(0, 2 * np.pi)),
        float(np.exp(rng.uniform(np.log(0.03), np.log(1.0))) * max(width, height)),
        float(rng.normal(0, 0.15)),
        float(rng.uniform(0.15, 0.6)),
        float(2 * np.pi * np.exp(rng.uniform(np.log(0.02), np.log(0.12)))),
        float(rng.uniform(0, 2 * np.pi)),
    )


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])
