"""Procedural textures with detail at every scale, made from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

Palette = Sequence[tuple[int, int, int]]


def fractal_noise(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    coarsest: float,
    finest: float = 1.6,
    roughness: float = 0.6,
) -> Float[np.ndarray, "h w"]:
    """Smooth noise summed over octaves, float32, mean 0 and standard deviation 1.

    Args:
        coarsest, finest: period in pixels of the first and last octave; each halves the last.
        roughness: amplitude of an octave relative to the one before it.
    """
    total = np.zeros((height, width), dtype=np.float32)
    period, amplitude = float(coarsest), 1.0
    while period >= finest:
        rows, columns = int(height / period) + 4, int(width / period) + 4
        lattice = rng.standard_normal((rows, columns), dtype=np.float32)
        # A random shift of each octave: else their lattices line up in visible squares.
        shift = rng.uniform(1.0, 2.0, size=2)
        place = np.array([[1 / period, 0, shift[0]], [0, 1 / period, shift[1]]])
        total += amplitude * cv2.warpAffine(
            lattice,
            place,
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        period /= 2
        amplitude *= roughness
    total -= total.mean()
    return total / max(float(total.std()), 1e-6)


def marble(
    rng: np.random.Generator, height: int, width: int, palette: Palette, *, grain: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Coloured, veined texture: noise bent by noise, through a palette, with fine light and dark.

    Args:
        palette: RGB colours from the lowest to the highest value of the noise.
        grain: period of the coarsest structure, pixels.
    """
    bend = grain * 0.35
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    warp_x = fractal_noise(rng, height, width, coarsest=2 * grain, finest=grain / 2)
    warp_y = fractal_noise(rng, height, width, coarsest=2 * grain, finest=grain / 2)
    veins = fractal_noise(rng, height, width, coarsest=grain, roughness=0.68)
    veins = cv2.remap(
        veins,
        columns + bend * warp_x,
        rows + bend * warp_y,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    tint = fractal_noise(rng, height, width, coarsest=3 * grain, finest=grain / 2)
    level = np.clip(0.5 + 0.24 * veins + 0.12 * tint, 0.0, 1.0)
    stops = np.linspace(0.0, 1.0, len(palette))
    colors = np.asarray(palette, dtype=np.float32)
    image = np.stack([np.interp(level, stops, colors[:, c]) for c in range(3)], axis=2)
    detail = fractal_noise(rng, height, width, coarsest=grain / 4, roughness=0.8)
    image = image * (1 + 0.13 * detail[..., None])
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
