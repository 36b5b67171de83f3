"""What light, lens, sensor and codec do to a rendered clip, without moving anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.synthetic.config import SyntheticConfig

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8


def degrade(
    rng: np.random.Generator, video: UInt8[np.ndarray, "t h w 3"], config: SyntheticConfig
) -> UInt8[np.ndarray, "t h w 3"]:
    """Light changes, blur, noise and compression of a clip; a new array."""
    return apply(random_degradation(rng, len(video), config), video)


@dataclass(frozen=True)
class Shadow:
    """A band of shadow that crosses the picture; lengths as shares of its sides."""

    direction: float  # radians
    start: float
    end: float  # of the band's middle along the direction
    half: float
    softness: float
    depth: float  # gain inside


@dataclass(frozen=True)
class Degradation:
    """What happens to one clip, in the order of the fields."""

    tables: UInt8[np.ndarray, "t 256 3"]  # light: new values of the colours
    shading: Float[np.ndarray, "2 g g"]  # logarithms of gains over the first and the last frame
    shadow: Shadow | None
    blur: float  # standard deviation in pixels of a frame whose short side is 256; 0: none
    noise: float  # standard deviation in grey levels; 0: none
    noise_seed: int
    size: float  # of the stored frame, relative to the clip's; 1: stored as it is
    qualities: tuple[int, ...]  # JPEG quality of every frame; 0: not compressed

    @property
    def shades(self) -> bool:
        """Whether gains differ over the picture."""
        return self.shadow is not None or bool(self.shading.any())

    def gain(self, t: int, height: int, width: int) -> Float[np.ndarray, "h w"]:
        """The gains of light and shadow in frame `t`."""
        part = t / max(len(self.tables) - 1, 1)
        gain = np.exp((1 - part) * self.shading[0] + part * self.shading[1]).astype(np.float32)
        gain = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
        shadow = self.shadow
        if shadow is None:
            return gain
        x = ((np.arange(width) + 0.5) / width - 0.5) * np.cos(shadow.direction)
        y = ((np.arange(height) + 0.5) / height - 0.5) * np.sin(shadow.direction)
        middle = (1 - part) * shadow.start + part * shadow.end
        place = x.astype(np.float32)[None] + (y - middle).astype(np.float32)[:, None]
        inside = np.clip((shadow.half - np.abs(place)) / shadow.softness + 0.5, 0, 1)
        return gain * (1 - (1 - shadow.depth) * inside)

    def stored_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which the codec stores the frames."""
        return max(round(self.size * height), 8), max(round(self.size * width), 8)


def random_degradation(
    rng: np.random.Generator, num_frames: int, config: SyntheticConfig
) -> Degradation:
    """Draw what happens to a clip of `num_frames` frames."""
    tables = _light_tables(rng, num_frames)
    cells = int(rng.integers(2, 6))
    shading = 0.3 * rng.standard_normal((2, cells, cells)) * (rng.random() < config.shading)
    shadow = _random_shadow(rng) if rng.random() < config.shadow else None
    blur = rng.uniform(0.3, 1.2) if rng.random() < config.blur else 0.0
    noise = np.exp(rng.uniform(np.log(1), np.log(11))) if rng.random() < config.noise else 0.0
    size = rng.uniform(0.45, 0.9) if rng.random() < config.low_resolution else 1.0
    qualities = np.zeros(num_frames, int)
    if rng.random() < config.jpeg:
        quality = np.exp(rng.uniform(np.log(16), np.log(92)))
        # A key frame now and then, and a rate that wanders between them.
        wander = rng.normal(0, 0.12, num_frames)
        wander[:: int(rng.integers(4, 16))] += 0.3
        qualities = np.clip(np.round(quality * np.exp(wander)), 5, 95).astype(int)
    seed = int(rng.integers(2**32))
    return Degradation(
        tables, shading, shadow, blur, float(noise), seed, size, tuple(qualities.tolist())
    )


def apply(
    degradation: Degradation, video: UInt8[np.ndarray, "t h w 3"]
) -> UInt8[np.ndarray, "t h w 3"]:
    """Degrade a clip; a new array."""
    height, width = video.shape[1:3]
    rng = np.random.default_rng(degradation.noise_seed)
    pool = _noise_pool(rng, degradation.noise, video[0].size) if degradation.noise else None
    out = np.empty_like(video)
    for t, frame in enumerate(video):
        frame = cv2.LUT(frame, degradation.tables[t][None])
        if degradation.shades:
            gain = degradation.gain(t, height, width)
            frame = cv2.multiply(frame, cv2.merge([gain] * 3), dtype=cv2.CV_8U)
        if degradation.blur:
            sigma = degradation.blur * min(height, width) / 256
            frame = cv2.GaussianBlur(frame, (0, 0), sigma)
        if pool is not None:
            start = int(rng.integers(len(pool) - frame.size))
            grain = pool[start : start + frame.size].reshape(frame.shape)
            frame = cv2.add(frame, grain, dtype=cv2.CV_8U)
        out[t] = _store(degradation, frame, t)
    return out


def _store(degradation: Degradation, frame: np.ndarray, t: int) -> np.ndarray:
    """Through the codec and back: small, with blocks and half the resolution of the colours."""
    height, width = frame.shape[:2]
    if degradation.size < 1:
        small = degradation.stored_size(height, width)[::-1]
        frame = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
    if degradation.qualities[t]:
        options = [cv2.IMWRITE_JPEG_QUALITY, degradation.qualities[t]]
        _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
        frame = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    if degradation.size < 1:
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    return frame


def _light_tables(rng: np.random.Generator, num_frames: int) -> UInt8[np.ndarray, "t 256 3"]:
    """Look-up tables: gain, contrast, gamma and colour that drift."""
    drift = np.linspace(-0.5, 0.5, num_frames)[:, None]
    flicker = rng.normal(0, 0.02) * np.sin(
        rng.uniform(0.1, 2) * np.arange(num_frames)[:, None] + rng.uniform(0, 6)
    )
    log_gain = rng.normal(0, 0.12) + rng.normal(0, 0.2) * drift + flicker
    colour = rng.normal(0, 0.07, 3) + rng.normal(0, 0.06, 3) * drift
    offset = rng.normal(0, 0.05) + rng.normal(0, 0.06) * drift
    gamma = np.exp(rng.normal(0, 0.12))
    level = np.linspace(0, 1, 256)[None, :, None] ** gamma
    gain = np.exp(log_gain + colour)[:, None, :]
    value = (level - 0.5) * gain + 0.5 + offset[:, None, :]
    return np.clip(np.round(value * 255), 0, 255).astype(np.uint8)


def _random_shadow(rng: np.random.Generator) -> Shadow:
    start, end = rng.uniform(-0.8, 0.8, 2).tolist()
    direction, half = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.5)
    depth = float(np.exp(rng.uniform(-1.1, -0.2)))
    return Shadow(direction, start, end, half, rng.uniform(0.01, 0.1), depth)


def _noise_pool(rng: np.random.Generator, sigma: float, size: int) -> np.ndarray:
    """Gaussian noise for one frame and more; frames take random pieces, which is much faster."""
    noise = rng.standard_normal(size + size // 2, dtype=np.float32) * np.float32(sigma)
    return np.clip(np.round(noise), -127, 127).astype(np.int8)
