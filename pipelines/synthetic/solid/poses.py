"""Where rigid bodies are over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Poses:
    """Poses of bodies at increasing moments, in frames; straight between them, at rest outside.

    Quaternions are (w, x, y, z) of unit length.
    """

    moments: Float[np.ndarray, " k"]
    positions: Float[np.ndarray, "k body 3"]
    quaternions: Float[np.ndarray, "k body 4"]

    def at(
        self, times: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n body 3 3"], Float[np.ndarray, "n body 3"]]:
        """Rotation matrices and positions (body to world) at times in frames."""
        after = np.clip(np.searchsorted(self.moments, times), 1, max(len(self.moments) - 1, 1))
        before = after - 1
        after = np.minimum(after, len(self.moments) - 1)
        span = np.maximum(self.moments[after] - self.moments[before], 1e-12)
        part = np.clip((times - self.moments[before]) / span, 0, 1)[:, None, None]
        position = (1 - part) * self.positions[before] + part * self.positions[after]
        first, last = self.quaternions[before], self.quaternions[after]
        # q and -q are the same rotation: blend the two that are closer.
        last = last * np.where((first * last).sum(-1, keepdims=True) < 0, -1.0, 1.0)
        blend = (1 - part) * first + part * last
        return rotation_matrices(blend / np.linalg.norm(blend, axis=-1, keepdims=True)), position


def rotation_matrices(quaternions: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n 3 3"]:
    """Rotations of unit quaternions (w, x, y, z)."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def axis_quaternions(
    axis: Float[np.ndarray, "*n 3"], angle: Float[np.ndarray, "*n"]
) -> Float[np.ndarray, "*n 4"]:
    """Quaternions that turn by `angle` (radians) about axes of any length but zero."""
    unit = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    half = np.asarray(angle)[..., None] / 2
    return np.concatenate([np.cos(half) * np.ones_like(unit[..., :1]), np.sin(half) * unit], -1)


def random_quaternion(rng: np.random.Generator) -> Float[np.ndarray, " 4"]:
    """A rotation that prefers no direction."""
    value = rng.standard_normal(4)
    return value / np.linalg.norm(value)


def multiply(
    first: Float[np.ndarray, "*n 4"], second: Float[np.ndarray, "*n 4"]
) -> Float[np.ndarray, "*n 4"]:
    """The rotation `second`, followed by `first`."""
    a, b, c, d = np.moveaxis(first, -1, 0)
    e, f, g, h = np.moveaxis(second, -1, 0)
    return np.stack(
        [
            a * e - b * f - c * g - d * h,
            a * f + b * e + c * h - d * g,
            a * g - b * h + c * e + d * f,
            a * h + b * g - c * f + d * e,
        ],
        axis=-1,
    )
