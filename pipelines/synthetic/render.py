"""Draw the frames of a scene."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.synthetic.layer import Layer
from pipelines.synthetic.scene import Scene

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

# OpenCV counts pixel centres at integers, rasters at +0.5.
_TO_RASTER = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
_FROM_RASTER = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])

_Region = tuple[int, int, int, int]  # left, top, right, bottom


def render_frames(
    scene: Scene, times: Float[np.ndarray, " n"]
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield the picture of the scene at each time: layers laid over each other, back to front."""
    matrices = [layer.matrices(times) for layer in scene.layers]
    for k, time in enumerate(times):
        back, *nearer = scene.order(float(time))
        width, height = scene.layers[back].frame_size
        frame = _draw(scene.layers[back], matrices[back][k], time, (0, 0, width, height))
        for index in nearer:
            left, top, right, bottom = region = _bounds(scene.layers[index], matrices[index][k])
            if left < right and top < bottom:
                drawn = _draw(scene.layers[index], matrices[index][k], time, region)
                _lay_over(frame[top:bottom, left:right], drawn)
        yield frame


def _draw(
    layer: Layer, matrix: Float[np.ndarray, "3 3"], time: float, region: _Region
) -> UInt8[np.ndarray, "h w c"]:
    """The layer alone in a rectangle of the frame; channels as in its texture."""
    left, top, right, bottom = region
    border = cv2.BORDER_REFLECT if layer.background else cv2.BORDER_CONSTANT
    texture = layer.levels[mip_level(layer, matrix)]
    enlarge = np.array(layer.size) / texture.shape[1::-1]
    if not layer.deformations:
        to_texture = np.diag([*enlarge, 1.0])
        shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
        return cv2.warpPerspective(
            texture,
            _FROM_RASTER @ shift @ matrix @ to_texture @ _TO_RASTER,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR,
            borderMode=border,
        )
    x, y = layer.displace(*_flat_points(np.linalg.inv(matrix), region), float(time))
    x, y = x / float(enlarge[0]) - 0.5, y / float(enlarge[1]) - 0.5
    return cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=border)


def _flat_points(
    inverse: Float[np.ndarray, "3 3"], region: _Region
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Where the pixel centres of a rectangle of the frame lie on a layer's plane, as float32."""
    left, top, right, bottom = region
    along = np.arange(left, right)[None] + 0.5
    down = np.arange(top, bottom)[:, None] + 0.5
    # Single rows and columns cost nothing in double precision; their sums are rounded once.
    x, y, depth = (
        (a * along).astype(np.float32) + (b * down + c).astype(np.float32) for a, b, c in inverse
    )
    return x / depth, y / depth


def _lay_over(below: UInt8[np.ndarray, "h w 3"], drawn: UInt8[np.ndarray, "h w 4"]) -> None:
    """Blend premultiplied RGBA over a part of the frame, in place."""
    # Whole arrays throughout: OpenCV copies slices of channels, which takes most of the time.
    rest = cv2.bitwise_not(cv2.extractChannel(drawn, 3))
    shone_through = cv2.multiply(below, cv2.merge([rest, rest, rest]), scale=1 / 255)
    cv2.add(shone_through, cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), dst=below)


def mip_level(layer: Layer, matrix: Float[np.ndarray, "3 3"]) -> int:
    """The mip level closest to the size at which the middle of the layer is drawn."""
    width, height = layer.size
    # The area of a plane's small patch grows by det(matrix) / depth^3.
    depth = float(matrix[2] @ (width / 2, height / 2, 1.0))
    area = abs(np.linalg.det(matrix)) / max(depth, 1e-3) ** 3
    level = round(-0.5 * math.log2(max(area, 1e-6)))
    return min(max(level, 0), len(layer.levels) - 1)


def _bounds(layer: Layer, matrix: Float[np.ndarray, "3 3"]) -> _Region:
    """Rectangle of the frame that the layer can touch; empty if it is out of sight."""
    frame_width, frame_height = layer.frame_size
    margin = np.ones(2)
    for deformation in layer.deformations:
        margin = margin + deformation.reach(*layer.size)
    (x0, y0), (x1, y1) = -margin, margin + layer.size
    corners = np.array([[x0, y0, 1], [x1, y0, 1], [x1, y1, 1], [x0, y1, 1]]) @ matrix.T
    if corners[:, 2].min() < 0.05:  # partly behind the camera: no bound
        return 0, 0, frame_width, frame_height
    x, y = (corners[:, :2] / corners[:, 2:]).T.tolist()
    return (
        min(max(math.floor(min(x)) - 1, 0), frame_width),
        min(max(math.floor(min(y)) - 1, 0), frame_height),
        min(max(math.ceil(max(x)) + 1, 0), frame_width),
        min(max(math.ceil(max(y)) + 1, 0), frame_height),
    )
