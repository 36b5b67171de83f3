"""A pinhole camera that moves through the scene and looks at a moving point.

World: metres, z up. Camera: x right, y down, z forward. Frames: raster pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipelines.synthetic.motion import Path
from pipelines.synthetic.solid.config import SolidConfig

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Camera:
    """A path of the camera, and one of the point that it looks at.

    First the position follows its path, then it turns about the vertical through `pivot` by the
    angle `orbit`. Nothing may make it look straight up or down.
    """

    frame_size: tuple[int, int]  # width, height
    focal: float  # pixels
    position: Path  # [n, 3]
    target: Path  # [n, 3]
    orbit: Path  # [n, 1], radians
    roll: Path  # [n, 1], radians
    pivot: Float[np.ndarray, " 3"]

    @property
    def intrinsics(self) -> Float[np.ndarray, "3 3"]:
        """Camera coordinates to raster pixels; the optical axis meets the frame's middle."""
        width, height = self.frame_size
        return np.array([[self.focal, 0, width / 2], [0, self.focal, height / 2], [0, 0, 1.0]])

    def poses(
        self, times: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 3"]]:
        """World-to-camera rotations, and positions in the world, at times in frames."""
        angle = self.orbit(times)[:, 0]
        away = self.position(times) - self.pivot
        cos, sin = np.cos(angle), np.sin(angle)
        position = self.pivot + np.stack(
            [cos * away[:, 0] - sin * away[:, 1], sin * away[:, 0] + cos * away[:, 1], away[:, 2]],
            axis=1,
        )
        forward = self.target(times) - position
        forward /= np.linalg.norm(forward, axis=1, keepdims=True)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right, axis=1, keepdims=True)
        down = np.cross(forward, right)
        roll = self.roll(times)
        cos, sin = np.cos(roll), np.sin(roll)
        return np.stack([cos * right + sin * down, cos * down - sin * right, forward], 1), position

    def moved(self, gain: float) -> Camera:
        """The same path with all its movements times `gain`."""
        return replace(
            self,
            position=_scaled(self.position, gain),
            target=_scaled(self.target, gain),
            orbit=_scaled(self.orbit, gain),
            roll=_scaled(self.roll, gain),
        )


def random_camera(
    rng: np.random.Generator,
    config: SolidConfig,
    frame_size: tuple[int, int],
    num_frames: int,
    position: Float[np.ndarray, " 3"],
    target: Float[np.ndarray, " 3"],
) -> Camera:
    """A camera about `position` and `target` whose path moves about one metre in the clip."""
    middle = (num_frames - 1) * rng.uniform(0.2, 0.8)
    rate = 1 / max(num_frames - 1, 1)
    forward = target - position
    distance = float(np.linalg.norm(forward))
    forward = forward / distance
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)

    travel, look, turn = np.zeros(3), np.zeros(3), np.zeros(1)
    kind = rng.random()
    if kind < config.pan:
        look = rng.standard_normal(3) * (1, 1, 0.5)
        look *= rate / np.linalg.norm(look)
        travel = look * rng.uniform(-0.5, 0.5)
    elif kind < config.pan + config.orbit:
        turn = np.array([rate / distance * rng.choice([-1.0, 1.0])])
        travel = np.array([0, 0, rate * rng.normal(0, 0.3)])
    elif kind < config.pan + config.orbit + config.dolly:
        travel = rate * (forward * rng.choice([-1.0, 1.0]) + 0.3 * rng.standard_normal(3))
        look = travel * rng.uniform(0, 0.8)
    else:
        side = right * rng.choice([-1.0, 1.0]) + np.array([0, 0, rng.normal(0, 0.4)])
        travel = rate * (side + 0.2 * rng.standard_normal(3))
        look = travel * rng.uniform(0, 1.2)
    shake = rng.uniform(0.3, 2.0) if rng.random() < config.shake else 0.0
    focal = min(frame_size) * np.exp(rng.uniform(np.log(0.85), np.log(1.7)))
    return Camera(
        frame_size,
        float(focal),
        _hand_held(rng, position, travel, 0.5 * shake * rate, middle),
        _hand_held(rng, target, look, shake * rate, middle),
        Path(np.zeros(1), turn, np.zeros(1), np.zeros((0, 3, 1)), middle),
        _hand_held(rng, rng.normal(0, 0.06, 1), np.zeros(1), 0.3 * shake * rate, middle),
        target,
    )


def _hand_held(
    rng: np.random.Generator, offset: np.ndarray, speed: np.ndarray, shake: float, middle: float
) -> Path:
    """Travel that is not quite steady: a slow sway, a quicker one and a tremor."""
    axes = len(offset)
    acceleration = 0.3 * speed / max(middle, 1.0) * rng.standard_normal(axes)
    rates = 2 * np.pi * rng.uniform([[0.02], [0.06], [0.2]], [[0.06], [0.15], [0.45]], (3, axes))
    strength = shake * np.array([[1.0], [0.7], [0.3]]) * rng.standard_normal((3, axes))
    phases = rng.uniform(0, 2 * np.pi, (3, axes))
    return Path(
        offset, speed, acceleration, np.stack([strength / rates, rates, phases], axis=1), middle
    )


def _scaled(path: Path, gain: float) -> Path:
    waves = path.waves * np.array([gain, 1.0, 1.0])[:, None]
    return replace(
        path, speed=path.speed * gain, acceleration=path.acceleration * gain, waves=waves
    )
