"""Textures out of random numbers, for where there are no photos: stone, wood, leaves, walls."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8


def procedural_texture(rng: np.random.Generator, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """One square RGB texture of a kind drawn at random."""
    maker = _MAKERS[int(rng.choice(len(_MAKERS), p=_SHARES))]
    light = 1 + 0.25 * _fractal(rng, size, roughness=0.35)[..., None]
    grain = rng.uniform(1, 6) * rng.standard_normal((size, size, 1))
    return np.clip(maker(rng, size) * light + grain, 0, 255).astype(np.uint8)


def _stone(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size 3"]:
    """Mottled in the colours of a palette, with veins."""
    image = _painted(rng, _fractal(rng, size, roughness=rng.uniform(0.5, 0.75)))
    veins = np.abs(_fractal(rng, size, roughness=0.55))
    return image * np.clip(0.4 + 6 * veins, 0, 1)[..., None] ** rng.uniform(0, 0.8)


def _wood(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size 3"]:
    """Bands that follow a bent direction."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[0:size, 0:size] / size
    along = np.cos(angle) * x + np.sin(angle) * y
    bent = along + rng.uniform(0.05, 0.3) * _fractal(rng, size, roughness=0.35)
    rings = np.sin(2 * np.pi * rng.uniform(5, 24) * bent)
    return _painted(rng, rng.uniform(0.2, 0.7) * rings + 0.5 * _fractal(rng, size, roughness=0.75))


def _leaves(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size 3"]:
    """Many overlapping shapes of one family, lit from one side: leaves, pebbles, a crowd."""
    image = _painted(rng, _fractal(rng, size, roughness=0.6)).astype(np.float32) * 0.5
    palette = _palette(rng)
    slender, typical = rng.uniform(0.3, 1), rng.uniform(0.02, 0.09) * size
    for _ in range(int(1.6 * (size / typical) ** 2 * 0.35)):
        centre = tuple(int(v) for v in rng.integers(0, size, 2))
        length = typical * np.exp(rng.normal(0, 0.35))
        axes = (max(2, round(length)), max(1, round(length * slender)))
        turn = float(rng.uniform(0, 360))
        colour = palette(rng.uniform(-1, 1)) * rng.uniform(0.6, 1.1)
        cv2.ellipse(image, centre, axes, turn, 0, 360, (colour * 0.55).tolist(), -1, cv2.LINE_AA)
        inner = (max(1, round(axes[0] * 0.8)), max(1, round(axes[1] * 0.75)))
        lit = (centre[0] - axes[1] // 6, centre[1] - axes[1] // 6)
        cv2.ellipse(image, lit, inner, turn, 0, 360, colour.tolist(), -1, cv2.LINE_AA)
    return image


def _wall(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size 3"]:
    """Rows of bricks or tiles, alike but for their shade."""
    height = size / rng.integers(5, 16)
    width = height * rng.choice([1.0, 2.0, 2.6])
    y, x = np.mgrid[0:size, 0:size] + 0.5
    row = np.floor(y / height).astype(int)
    shifted = x / width + 0.5 * (row % 2) * (width > height)
    column = np.floor(shifted).astype(int)
    shade = rng.uniform(-1, 1, (row.max() + 1, column.max() + 1))[row, column]
    image = _painted(rng, 0.6 * shade + 0.5 * _fractal(rng, size, roughness=0.7))
    joint = np.minimum(
        np.minimum(y % height, height - y % height),
        np.minimum(shifted % 1, 1 - shifted % 1) * width,
    )
    solid = np.clip(joint / (0.06 * height) - 0.4, 0, 1)[..., None]
    return image * solid + (1 - solid) * rng.uniform(40, 200)


def _landscape(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size 3"]:
    """A sky, and ridges of hills one behind the other."""
    y = np.linspace(-1, 1, size)[:, None]
    sky = _palette(rng, hue=rng.uniform(0.5, 0.65))
    clouds = _fractal(rng, size, roughness=0.5)
    image = sky(np.clip(y + 0.6 * clouds, -1, 1))
    for ridge in range(int(rng.integers(2, 5))):
        profile = _fractal(rng, size, roughness=0.4)[size // 2]
        top = size * (0.35 + 0.17 * ridge + 0.1 * profile)
        below = np.arange(size)[:, None] > top[None]
        ground = _painted(rng, _fractal(rng, size, roughness=rng.uniform(0.65, 0.85)))
        image = np.where(below[..., None], ground * (0.7 + 0.1 * ridge), image)
    return image


_MAKERS = (_stone, _wood, _leaves, _wall, _landscape)
_SHARES = (0.25, 0.1, 0.2, 0.2, 0.25)


def _fractal(
    rng: np.random.Generator, size: int, roughness: float
) -> Float[np.ndarray, "size size"]:
    """Noise of all sizes with standard deviation of about 0.5: each half as large is weaker."""
    total = np.zeros((size, size), np.float32)
    cells, weight = 3, 1.0
    while cells <= size:
        grain = rng.standard_normal((cells, cells)).astype(np.float32)
        total += weight * cv2.resize(grain, (size, size), interpolation=cv2.INTER_CUBIC)
        cells, weight = 2 * cells, weight * roughness
    return 0.5 * total / max(float(total.std()), 1e-6)


_HUES = (0.03, 0.08, 0.11, 0.14, 0.25, 0.33, 0.55, 0.6)  # brick, earth, sand, grass, slate


def _palette(
    rng: np.random.Generator, hue: float | None = None
) -> Callable[[np.ndarray | float], np.ndarray]:
    """A function from -1 to 1 to RGB, from dark to light through related colours."""
    hue = rng.choice(_HUES) if hue is None else hue
    hues = (hue + rng.normal(0, 0.04, 4)) % 1
    values = np.sort(rng.uniform(0.12, 1.0, 4))
    saturations = np.clip(rng.normal(0.4, 0.2, 4), 0.02, 0.9)
    stops = np.array(
        [colorsys.hsv_to_rgb(*stop) for stop in zip(hues, saturations, values, strict=True)]
    )
    places = np.linspace(-1, 1, len(stops))

    def colour(level: np.ndarray | float) -> np.ndarray:
        parts = [np.interp(level, places, 255 * stops[:, channel]) for channel in range(3)]
        return np.stack(parts, axis=-1)

    return colour


def _painted(rng: np.random.Generator, field: np.ndarray) -> Float[np.ndarray, "size size 3"]:
    return _palette(rng)(np.clip(field, -1, 1))
