"""A textured plane and its exact mappings between texture and frame.

All coordinates are raster coordinates: pixel centres at +0.5, in frames and in textures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pipelines.synthetic.camera import Camera
from pipelines.synthetic.deform import Array, Deformation
from pipelines.synthetic.motion import Motion

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

_MIN_DEPTH = 0.05  # homogeneous depth below which a point counts as behind the camera


@dataclass(frozen=True)
class Layer:
    """A textured plane that moves on its own and under the camera."""

    # Mip levels: RGBA with premultiplied alpha, or RGB for a background.
    levels: tuple[UInt8[np.ndarray, "h w c"], ...]
    motion: Motion
    camera: Camera
    parallax: float  # how much of the camera's translation the layer sees
    frame_size: tuple[int, int]  # width, height
    background: bool = False
    deformations: tuple[Deformation, ...] = ()  # from the flat plane to the texture, in turn
    anchor: tuple[float, float] = (0.5, 0.5)  # origin of the motion, as shares of the size
    joint: Motion | None = None  # a limb moves in the plane of another layer's motion
    # Homographies of the times asked for: points are asked about at the same frames many times.
    _known: dict[bytes, np.ndarray] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the texture."""
        height, width = self.levels[0].shape[:2]
        return width, height

    def matrices(self, times: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3 3"]:
        """Homographies from the flat texture plane to the frame."""
        unit = min(self.frame_size)
        x, y = np.array(self.size) * self.anchor
        origin = np.array([[1, 0, -x], [0, 1, -y], [0, 0, unit]]) / unit
        frame_width, frame_height = self.frame_size
        raster = np.array([[unit, 0, frame_width / 2], [0, unit, frame_height / 2], [0, 0, 1.0]])
        camera = self.camera.matrices(times, self.parallax)
        own = self.motion.matrices(times)
        if self.joint is not None:
            own = self.joint.matrices(times) @ own
        return raster @ camera @ own @ origin

    def displace(self, x: Array, y: Array, times: Array | float) -> tuple[Array, Array]:
        """Texture coordinates of points of the flat plane, as arrays or as tensors."""
        for deformation in self.deformations:
            x, y = deformation.displace(x, y, times)
        return x, y

    def project(
        self, texture: Float[np.ndarray, "*n 2"], times: Float[np.ndarray, "*n"]
    ) -> Float[np.ndarray, "*n 2"]:
        """Frame positions (x, y) of texture points at their times."""
        x, y = texture[..., 0], texture[..., 1]
        for deformation in reversed(self.deformations):
            x, y = deformation.flatten(x, y, times)
        return _apply(*self._at(times), np.stack([x, y], axis=-1))

    def locate(
        self, points: Float[np.ndarray, "*n 2"], times: Float[np.ndarray, "*n"]
    ) -> Float[np.ndarray, "*n 2"]:
        """Texture points under frame positions at their times: the exact inverse of `project`."""
        matrices, index = self._at(times)
        flat = _apply(np.linalg.inv(matrices), index, points)
        return np.stack(self.displace(flat[..., 0], flat[..., 1], times), axis=-1)

    def _at(self, times: Float[np.ndarray, "*n"]) -> tuple[np.ndarray, np.ndarray]:
        """Homographies [k, 3, 3] of the different times, and the place of each time in them."""
        unique, index = np.unique(times, return_inverse=True)
        key = unique.tobytes()
        if key not in self._known:
            self._known[key] = self.matrices(unique)
        return self._known[key], index.reshape(times.shape)

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


def _apply(matrices: np.ndarray, index: np.ndarray, points: np.ndarray) -> np.ndarray:
    chosen = matrices[index]
    x, y = points[..., 0], points[..., 1]
    rows = chosen[..., :, 0] * x[..., None] + chosen[..., :, 1] * y[..., None] + chosen[..., :, 2]
    return rows[..., :2] / np.maximum(rows[..., 2:], _MIN_DEPTH)
