"""Cameras: how the whole scene moves in the frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from pipelines.synthetic.config import Cameras, SyntheticConfig
from pipelines.synthetic.motion import Motion, Path, at_rest, random_motion, random_speed

if TYPE_CHECKING:
    from jaxtyping import Float


_FASTEST_HAND = 8 / 256  # short sides per frame


@dataclass(frozen=True)
class Camera:
    """A camera that moves, and looks at a point that moves as well.

    Lengths are in units of the frame's short side, at the distance of the background.
    """

    motion: Motion  # of the whole scene in the frame
    look_at: Path  # [n, 2]: the point of the scene in the middle of the frame, before `motion`
    focal: float = 1.2  # distance of the background from the camera

    def matrices(
        self, times: Float[np.ndarray, " n"], parallax: float = 1.0
    ) -> Float[np.ndarray, "n 3 3"]:
        """Homographies from a layer's plane to the frame; `parallax` multiplies translations."""
        return self.motion.matrices(times, parallax) @ self._turned(self.look_at(times))

    def _turned(self, aim: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3 3"]:
        """The view of a camera that turns (without roll) until `aim` is in the middle."""
        yaw = np.arctan2(aim[:, 0], self.focal)
        pitch = np.arctan2(aim[:, 1], np.hypot(aim[:, 0], self.focal))
        cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        zero = np.zeros_like(yaw)
        rotation = np.array([[cy, zero, -sy], [-sp * sy, cp, -sp * cy], [cp * sy, sp, cp * cy]])
        lens = np.diag([self.focal, self.focal, 1.0])
        return lens @ rotation.transpose(2, 0, 1) @ np.linalg.inv(lens)


@dataclass(frozen=True)
class DrawnCamera:
    """A camera with what the rest of the scene needs to know of it."""

    kind: str
    camera: Camera
    reach: float  # length of the look-at point's path


def still_camera() -> Camera:
    """A camera that shows the scene as it is."""
    return Camera(at_rest(), _centred())


def random_camera(rng: np.random.Generator, config: SyntheticConfig) -> DrawnCamera:
    """Draw a kind of camera by its weight in `config.cameras`, and its movement."""
    kinds = [field.name for field in fields(Cameras)]
    weights = np.array([getattr(config.cameras, kind) for kind in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    return _MAKERS[kind](rng, config)


def _static(rng: np.random.Generator, config: SyntheticConfig) -> DrawnCamera:
    return DrawnCamera("static", still_camera(), 0.0)


def _drifting(rng: np.random.Generator, config: SyntheticConfig) -> DrawnCamera:
    return DrawnCamera("drifting", Camera(random_motion(rng, config), _centred()), 0.0)


def _shaking(rng: np.random.Generator, config: SyntheticConfig) -> DrawnCamera:
    motion = _hand(rng, min(random_speed(rng, config), _FASTEST_HAND), (0.03, 0.3))
    return DrawnCamera("shaking", Camera(motion, _centred()), 0.0)


def _zooming(rng: np.random.Generator, config: SyntheticConfig) -> DrawnCamera:
    """In or out by a factor of up to 2.5 about a point near the middle, by a shaking hand."""
    middle = (config.num_frames - 1) / 2
    rate = np.log(rng.uniform(1.3, 2.5)) / max(config.num_frames, 24) * rng.choice([-1, 1])
    hand = _hand(rng, 0.4 * random_speed(rng, config), (0.03, 0.2))
    drift = Path(np.zeros(2), rng.normal(0, 0.006, 2), np.zeros(2), hand.position.waves, middle)
    zoom = Path(np.zeros(1), np.array([rate]), np.zeros(1), np.zeros((0, 3, 1)), middle)
    motion = Motion(drift, zoom, hand.angle, hand.tilt)
    return DrawnCamera("zooming", Camera(motion, _centred()), 0.0)


def _panning(rng: np.random.Generator, config: SyntheticConfig) -> DrawnCamera:
    """The look-at point runs along a straight line that passes near the scene's middle."""
    frames = max(config.num_frames, 2)
    middle = (frames - 1) * rng.uniform(0.3, 0.7)
    length = rng.uniform(0.4, 1.4) * min(1.0, (frames - 1) / 23)
    direction = rng.uniform(0, 2 * np.pi)
    # Mostly sideways, as people turn.
    line = np.array([np.cos(direction), np.sin(direction) * rng.choice([0.35, 1.0])])
    look_at = Path(
        rng.uniform(-0.2, 0.2, 2),
        length / (frames - 1) * line,
        np.zeros(2),
        np.zeros((0, 3, 2)),
        middle,
    )
    hand = _hand(rng, 0.3 * random_speed(rng, config), (0.03, 0.25))
    return DrawnCamera("panning", Camera(hand, look_at, rng.uniform(1.0, 2.0)), length)


_MAKERS: dict[str, Callable[[np.random.Generator, SyntheticConfig], DrawnCamera]] = {
    "static": _static,
    "drifting": _drifting,
    "shaking": _shaking,
    "zooming": _zooming,
    "panning": _panning,
}


def _hand(rng: np.random.Generator, speed: float, rates: tuple[float, float]) -> Motion:
    """Trembling about the middle, with frequencies between `rates` (turns per frame)."""
    frequencies = 2 * np.pi * np.exp(rng.uniform(np.log(rates[0]), np.log(rates[1]), (4, 2)))
    frequencies = np.sort(frequencies, axis=0)
    # The faster the smaller: a hand has mass.
    share = np.array([1.0, 0.5, 0.25, 0.12])[:, None]
    amplitude = speed * share * rng.normal(0, 0.8, (4, 2)) / frequencies
    amplitude = np.clip(amplitude, -0.15, 0.15)
    phase = rng.uniform(0, 2 * np.pi, (4, 2))
    roll = np.stack([0.5 * amplitude[:, :1], frequencies[:, :1], phase[:, 1:]], axis=1)
    rest = at_rest()
    return Motion(
        Path(
            np.zeros(2), np.zeros(2), np.zeros(2), np.stack([amplitude, frequencies, phase], 1), 0.0
        ),
        rest.log_scale,
        Path(np.zeros(1), np.zeros(1), np.zeros(1), roll, 0.0),
        rest.tilt,
    )


def _centred() -> Path:
    return at_rest().position
