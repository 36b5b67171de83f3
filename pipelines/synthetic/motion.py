"""Smooth random motions of planes, as homographies at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.synthetic.config import SyntheticConfig

_MAX_TILT = 0.35


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
        for amplitude, frequency, phase in self.waves:
            value = value + amplitude * np.sin(frequency * tau + phase)
        return value


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


def random_motion(
    rng: np.random.Generator,
    config: SyntheticConfig,
    *,
    static: bool,
    offset: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    angle: float = 0.0,
) -> Motion:
    """A motion that passes `offset`, `scale` and `angle` about the middle of the clip."""
    middle = (config.num_frames - 1) * rng.uniform(0.2, 0.8)
    start = (np.array(offset), np.array([np.log(scale)]), np.array([angle]), np.zeros(2))
    if static:
        return Motion(*(_rest(value, middle) for value in start))

    speed = (
        min(
            config.median_speed * np.exp(config.speed_spread * rng.standard_normal()),
            config.max_speed,
        )
        / 256
    )
    slow = 24 / max(config.num_frames, 24)  # long clips must not zoom or tilt out of range
    zoom = slow * 0.014 * rng.standard_normal() * (rng.random() < 0.6)
    turn = slow * 0.025 * rng.standard_normal() * (rng.random() < 0.6)
    tilt = slow * 0.012 * rng.standard_normal(2) * (rng.random() < config.perspective)
    return Motion(
        _travel(rng, start[0], speed, middle, config),
        _drift(rng, start[1], np.array([zoom]), middle, config),
        _drift(rng, start[2], np.array([turn]), middle, config),
        _drift(rng, start[3], tilt, middle, config),
    )


def _rest(offset: np.ndarray, middle: float) -> Path:
    zero = np.zeros_like(offset)
    return Path(offset, zero, zero, np.zeros((0, 3, len(offset))), middle)


def _travel(
    rng: np.random.Generator,
    offset: np.ndarray,
    speed: float,
    middle: float,
    config: SyntheticConfig,
) -> Path:
    """Share the speed between straight travel, a swing and shaking."""
    share = rng.dirichlet([2.5, 1.0, 0.35])
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
