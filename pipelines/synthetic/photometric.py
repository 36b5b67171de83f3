"""What a camera and a codec do to a rendered clip, without moving anything."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from pipelines.synthetic.config import SyntheticConfig


def degrade(rng: np.random.Generator, video: np.ndarray, config: SyntheticConfig) -> np.ndarray:
    """Light changes, blur, noise and compression of a uint8 clip [T, H, W, 3]; a new array."""
    tables = _light_tables(rng, len(video))
    shade = _shading(rng, video.shape) if rng.random() < config.shading else None
    blur = rng.uniform(0.3, 1.0) if rng.random() < config.blur else 0.0
    noise = np.exp(rng.uniform(np.log(1), np.log(10))) if rng.random() < config.noise else 0.0
    quality = int(rng.integers(35, 95)) if rng.random() < config.jpeg else 0
    pool = _noise_pool(rng, noise, video[0].size) if noise else None

    out = np.empty_like(video)
    for t, frame in enumerate(video):
        frame = cv2.LUT(frame, tables[t])
        if shade is not None:
            frame = cv2.multiply(frame, next(shade), dtype=cv2.CV_8U)
        if blur:
            frame = cv2.GaussianBlur(frame, (0, 0), blur * min(frame.shape[:2]) / 256)
        if pool is not None:
            start = int(rng.integers(len(pool) - frame.size))
            grain = pool[start : start + frame.size].reshape(frame.shape)
            frame = cv2.add(frame, grain, dtype=cv2.CV_8U)
        if quality:
            frame = _compress(frame, quality)
        out[t] = frame
    return out


def _compress(frame: np.ndarray, quality: int) -> np.ndarray:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]


def _light_tables(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """uint8 [T, 1, 256, 3] look-up tables: gain, contrast, gamma and colour that drift."""
    drift = np.linspace(-0.5, 0.5, num_frames)[:, None]
    flicker = rng.normal(0, 0.01) * np.sin(
        rng.uniform(0.1, 2) * np.arange(num_frames)[:, None] + rng.uniform(0, 6)
    )
    log_gain = rng.normal(0, 0.12) + rng.normal(0, 0.08) * drift + flicker
    colour = rng.normal(0, 0.06, 3) + rng.normal(0, 0.03, 3) * drift
    offset = rng.normal(0, 0.05) + rng.normal(0, 0.03) * drift
    gamma = np.exp(rng.normal(0, 0.12))
    level = np.linspace(0, 1, 256)[None, :, None] ** gamma
    gain = np.exp(log_gain + colour)[:, None, :]
    value = (level - 0.5) * gain + 0.5 + offset[:, None, :]
    return np.clip(np.round(value * 255), 0, 255).astype(np.uint8)[:, None]


def _shading(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield one gain per frame, float32 [H, W, 3]: soft light and shade that change places."""
    num_frames, height, width, _ = shape
    cells = int(rng.integers(2, 6))
    first, last = 0.3 * rng.standard_normal((2, cells, cells))
    for t in range(num_frames):
        part = t / max(num_frames - 1, 1)
        gain = np.exp((1 - part) * first + part * last).astype(np.float32)
        gain = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
        yield cv2.merge([gain] * 3)


def _noise_pool(rng: np.random.Generator, sigma: float, size: int) -> np.ndarray:
    """Gaussian noise for one frame and more; frames take random pieces, which is much faster."""
    noise = rng.standard_normal(size + size // 2, dtype=np.float32) * np.float32(sigma)
    return np.clip(np.round(noise), -127, 127).astype(np.int8)
