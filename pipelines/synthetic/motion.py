"""Smooth random motions of planes, as homographies at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.synthetic.config import SyntheticConfig

_MAX_TILT = 0.45


@dataclass(frozen=True)
class Path:
    """A smooth curve in D dimensions: offset, speed, acceleration and waves around `middle`.

    `waves` is [K, 3, D]: amplitude, angular frequency per frame, and phase.
    """

    offset: np.ndarray
    speed: np.ndarray
    acceleration: np.ndarray
    waves: np.ndarray
    middle: float

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """[n] times in frames -> [n, D]."""
        tau = (times - self.middle)[:, None]
        value = self.offset + self.speed * tau + 0.5 * self.acceleration * tau**2
        amplitude, frequency, phase = self.waves.transpose(1, 0, 2)
        swings = amplitude * np.sin(frequency * tau[:, None] + phase)
        return value + swings.sum(axis=1)


@dataclass(frozen=True)
class Motion:
    """Movement of a plane about its own origin; lengths in units of the frame's short side."""

    position: Path  # [n, 2]
    log_scale: Path  # [n, 1]
    angle: Path  # [n, 1], radians
    tilt: Path  # [n, 2]: perspective terms, per unit of length

    def matrices(self, times: np.ndarray, position_gain: float = 1.0) -> np.ndarray:
        """[n, 3, 3] homographies: scale and rotate, tilt, then translate."""
        n = len(times)
        scale = np.exp(self.log_scale(times)[:, 0])
        angle = self.angle(times)[:, 0]
        turn = np.zeros((n, 3, 3))
        turn[:, 0, 0] = turn[:, 1, 1] = scale * np.cos(angle)
        turn[:, 1, 0] = scale * np.sin(angle)
        turn[:, 0, 1] = -turn[:, 1, 0]
        turn[:, 2, 2] = 1
        tilt = np.tile(np.eye(3), (n, 1, 1))
        # Bounded, so that no visible part of a plane comes near the camera's own plane.
        tilt[:, 2, :2] = _MAX_TILT * np.tanh(self.tilt(times) / _MAX_TILT)
        shift = np.tile(np.eye(3), (n, 1, 1))
        shift[:, :2, 2] = position_gain * self.position(times)
        return shift @ tilt @ turn


def at_rest(
    offset: tuple[float, float] = (0.0, 0.0), scale: float = 1.0, angle: float = 0.0
) -> Motion:
    """No motion: the plane stands at `offset`, with `scale` and `angle`."""
    return Motion(*(_rest(value) for value in _start(offset, scale, angle)))


def random_speed(rng: np.random.Generator, config: SyntheticConfig) -> float:
    """Short sides per frame."""
    speed = config.median_speed * np.exp(config.speed_spread * rng.standard_normal())
    return float(min(speed, config.max_speed) / 256)


def random_motion(
    rng: np.random.Generator,
    config: SyntheticConfig,
    *,
    middle: float | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    angle: float = 0.0,
) -> Motion:
    """A motion that passes `offset`, `scale` and `angle` at the time `middle`, or nearly."""
    if middle is None:
        middle = (config.num_frames - 1) * rng.uniform(0.2, 0.8)
    start = _start(offset, scale, angle)
    speed = random_speed(rng, config)
    slow = 24 / max(config.num_frames, 24)  # long clips must not zoom or tilt out of range
    zoom = slow * 0.02 * rng.standard_normal() * (rng.random() < 0.7)
    turn = slow * 0.035 * rng.standard_normal() * (rng.random() < 0.7)
    tilt = slow * 0.02 * rng.standard_normal(2) * (rng.random() < config.perspective)
    return Motion(
        _travel(rng, start[0], speed, middle, config),
        _drift(rng, start[1], np.array([zoom]), middle, config),
        _drift(rng, start[2], np.array([turn]), middle, config),
        _drift(rng, start[3], tilt, middle, config),
    )


def _start(
    offset: tuple[float, float], scale: float, angle: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return np.array(offset), np.array([np.log(scale)]), np.array([angle]), np.zeros(2)


def _rest(offset: np.ndarray) -> Path:
    zero = np.zeros_like(offset)
    return Path(offset, zero, zero, np.zeros((0, 3, len(offset))), 0.0)


def _travel(
    rng: np.random.Generator,
    offset: np.ndarray,
    speed: float,
    middle: float,
    config: SyntheticConfig,
) -> Path:
    """Share the speed between straight travel, a swing and shaking."""
    share = rng.dirichlet([2.5, 1.5, 0.4])
    direction = rng.uniform(0, 2 * np.pi)
    velocity = share[0] * speed * np.array([np.cos(direction), np.sin(direction)])
    half = max(config.num_frames / 2, 1)
    acceleration = share[0] * speed / half * rng.normal(0, 0.6, 2)
    swing = rng.uniform(0.02, 0.1, 2) * 2 * np.pi
    shake = rng.uniform(0.12, 0.4, 2) * 2 * np.pi
    waves = np.stack(
        [
            np.stack(
                [part * speed * rng.normal(0, 0.9, 2) / rate, rate, rng.uniform(0, 2 * np.pi, 2)]
            )
            for part, rate in ((share[1], swing), (share[2], shake))
        ]
    )
    return Path(offset, velocity, acceleration, waves, middle)


def _drift(
    rng: np.random.Generator,
    offset: np.ndarray,
    rate: np.ndarray,
    middle: float,
    config: SyntheticConfig,
) -> Path:
    frequency = rng.uniform(0.02, 0.12, rate.shape) * 2 * np.pi
    amplitude = 0.8 * rate * rng.standard_normal(rate.shape) / frequency
    wave = np.stack([amplitude, frequency, rng.uniform(0, 2 * np.pi, rate.shape)])
    acceleration = rate / max(config.num_frames, 1) * rng.standard_normal(rate.shape)
    return Path(offset, rate, acceleration, wave[None], middle)
