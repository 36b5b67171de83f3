"""A textured plane and its exact mappings between texture and frame.

All coordinates are raster coordinates: pixel centres at +0.5, in frames and in textures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.synthetic.motion import Motion

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

_MIN_DEPTH = 0.05  # homogeneous depth below which a point counts as behind the camera


@dataclass(frozen=True)
class Ripple:
    """A travelling wave that displaces the texture, in texture pixels.

    The slope of the displacement stays below 0.4, so that fixed-point iteration inverts it to
    rounding error.
    """

    # One entry for the x and one for the y displacement. Plain floats: they leave the
    # precision of the points as it is, and rendering is much faster in single precision.
    amplitude: tuple[float, float]
    wave_x: tuple[float, float]  # radians per pixel
    wave_y: tuple[float, float]
    frequency: tuple[float, float]  # radians per frame
    phase: tuple[float, float]

    def displace(
        self, x: np.ndarray, y: np.ndarray, times: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Texture coordinates (x, y) of points of the flat plane; all arguments broadcast."""
        dx, dy = (
            self.amplitude[i]
            * np.sin(
                self.wave_x[i] * x
                + self.wave_y[i] * y
                + (self.frequency[i] * times + self.phase[i])
            )
            for i in (0, 1)
        )
        return x + dx, y + dy

    def flatten(
        self, x: np.ndarray, y: np.ndarray, times: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Inverse of `displace`."""
        flat_x, flat_y = x, y
        for _ in range(24):
            reached_x, reached_y = self.displace(flat_x, flat_y, times)
            flat_x, flat_y = flat_x + (x - reached_x), flat_y + (y - reached_y)
        return flat_x, flat_y


@dataclass(frozen=True)
class Layer:
    """A textured plane that moves on its own and under the camera."""

    # Mip levels: RGBA with premultiplied alpha, or RGB for a background.
    levels: tuple[UInt8[np.ndarray, "h w c"], ...]
    motion: Motion
    camera: Motion
    parallax: float  # how much of the camera's translation the layer sees
    frame_size: tuple[int, int]  # width, height
    background: bool = False
    ripple: Ripple | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the texture."""
        height, width = self.levels[0].shape[:2]
        return width, height

    def matrices(self, times: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3 3"]:
        """Homographies from the flat texture plane to the frame."""
        unit = min(self.frame_size)
        width, height = self.size
        centre = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, unit]]) / unit
        frame_width, frame_height = self.frame_size
        raster = np.array([[unit, 0, frame_width / 2], [0, unit, frame_height / 2], [0, 0, 1.0]])
        camera = self.camera.matrices(times, self.parallax)
        return raster @ camera @ self.motion.matrices(times) @ centre

    def project(
        self, texture: Float[np.ndarray, "*n 2"], times: Float[np.ndarray, "*n"]
    ) -> Float[np.ndarray, "*n 2"]:
        """Frame positions (x, y) of texture points at their times."""
        flat = texture
        if self.ripple is not None:
            flat = np.stack(self.ripple.flatten(texture[..., 0], texture[..., 1], times), axis=-1)
        unique, index = np.unique(times, return_inverse=True)
        return _apply(self.matrices(unique)[index.reshape(times.shape)], flat)

    def locate(
        self, points: Float[np.ndarray, "*n 2"], times: Float[np.ndarray, "*n"]
    ) -> Float[np.ndarray, "*n 2"]:
        """Texture points under frame positions at their times: the exact inverse of `project`."""
        unique, index = np.unique(times, return_inverse=True)
        inverse = np.linalg.inv(self.matrices(unique))
        flat = _apply(inverse[index.reshape(times.shape)], points)
        if self.ripple is None:
            return flat
        return np.stack(self.ripple.displace(flat[..., 0], flat[..., 1], times), axis=-1)

    def coverage(self, texture: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n"]:
        """Alpha in [0, 1] at texture points; a background covers everything."""
        if self.background:
            return np.ones(texture.shape[:-1])
        width, height = self.size
        alpha = np.pad(self.levels[0][..., 3], 1).astype(np.float64) / 255
        x = np.clip(texture[..., 0] + 0.5, 0, width + 0.999)
        y = np.clip(texture[..., 1] + 0.5, 0, height + 0.999)
        x0, y0 = x.astype(int), y.astype(int)
        fx, fy = x - x0, y - y0
        top = alpha[y0, x0] * (1 - fx) + alpha[y0, x0 + 1] * fx
        bottom = alpha[y0 + 1, x0] * (1 - fx) + alpha[y0 + 1, x0 + 1] * fx
        return top * (1 - fy) + bottom * fy


def _apply(matrices: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = points[..., 0], points[..., 1]
    rows = matrices[..., :, 0] * x[..., None] + matrices[..., :, 1] * y[..., None]
    rows = rows + matrices[..., :, 2]
    return rows[..., :2] / np.maximum(rows[..., 2:], _MIN_DEPTH)
