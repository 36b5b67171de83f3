"""Anti-aliased, sub-pixel drawing in raster pixels over a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

_SHIFT = 6  # OpenCV takes fixed-point coordinates: 1/64 px
_ONE = 1 << _SHIFT
# OpenCV's anti-aliasing widens a polygon by about this much, measured over widths and angles; its
# thin line is about as wide.
_WIDENING = 1.4


def auto_scale(height: int, width: int, target: int = 480, largest: int = 4) -> int:
    """Smallest whole factor that brings the short side to `target` pixels: 2 for 256 x 256."""
    return int(np.clip(-(-target // max(1, min(height, width))), 1, largest))


def upscale(image: UInt8[np.ndarray, "h w 3"], scale: float) -> UInt8[np.ndarray, "a b 3"]:
    """Resize by `scale`; a point (x, y) in raster pixels goes to (scale x, scale y)."""
    if scale == 1:
        return np.ascontiguousarray(image)
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)


class Canvas:
    """A transparent layer of strokes, to be laid over a picture of the same size.

    Coordinates are raster pixels of the picture (pixel centres at +0.5). A later stroke replaces
    what lies under it instead of adding up, so the joints of a half-transparent line stay even.
    Alphas are in [0, 1]; colours are RGB.
    """

    def __init__(self, height: int, width: int) -> None:
        # Colour premultiplied by alpha, and alpha: then mixing the new value with the old one by
        # the share of the pixel that the stroke covers is right for all four channels at once.
        self._layer = np.zeros((height, width, 4), dtype=np.uint8)

    def segments(
        self,
        starts: Float[np.ndarray, "n 2"],
        ends: Float[np.ndarray, "n 2"],
        colors: UInt8[np.ndarray, "n 3"],
        alphas: Float[np.ndarray, " n"],
        *,
        width: float,
    ) -> None:
        """Straight strokes from start to end, `width` pixels wide (at least about 1.4)."""
        along = ends - starts
        length = np.hypot(along[:, 0], along[:, 1])
        moving = np.flatnonzero(length > 1 / _ONE)  # a shorter one has no direction
        inks = _inks(colors, alphas)
        if width < _WIDENING + 0.25:
            start, end = _fixed(starts).tolist(), _fixed(ends).tolist()
            for n in moving.tolist():
                cv2.line(self._layer, start[n], end[n], inks[n], 1, cv2.LINE_AA, _SHIFT)
            return
        unit = along / np.maximum(length, 1e-9)[:, None]
        side = np.stack([-unit[:, 1], unit[:, 0]], axis=1) * (width - _WIDENING) / 2
        corners = np.stack([starts - side, starts + side, ends + side, ends - side], axis=1)
        fixed = _fixed(corners)
        for n in moving.tolist():
            cv2.fillConvexPoly(self._layer, fixed[n], inks[n], cv2.LINE_AA, _SHIFT)

    def discs(
        self,
        centers: Float[np.ndarray, "n 2"],
        colors: UInt8[np.ndarray, "n 3"],
        *,
        radius: float,
        rim: float = 0.0,
        rim_alpha: float = 0.5,
    ) -> None:
        """Filled circles, with a dark half-transparent rim of `rim` pixels around them."""
        distance, corners = self._surroundings(centers, radius + rim)
        inner = np.clip(radius - distance + 0.5, 0.0, 1.0)
        outer = np.clip(radius + rim - distance + 0.5, 0.0, 1.0)
        ink = np.empty((*distance.shape, 4))
        ink[..., :3] = inner[..., None] * colors[:, None, None, :]
        ink[..., 3] = 255 * (inner + (outer - inner) * rim_alpha)  # the rim is black
        self._stamp(corners, ink, outer)

    def rings(
        self,
        centers: Float[np.ndarray, "n 2"],
        colors: UInt8[np.ndarray, "n 3"],
        *,
        radius: float,
        width: float = 1.2,
        alpha: float = 1.0,
    ) -> None:
        """Circles whose line is centred on `radius`; what lies inside stays as it is."""
        distance, corners = self._surroundings(centers, radius + width)
        cover = np.clip(width / 2 - np.abs(distance - radius) + 0.5, 0.0, 1.0)
        ink = np.empty((*distance.shape, 4))
        ink[..., :3] = alpha * cover[..., None] * colors[:, None, None, :]
        ink[..., 3] = 255 * alpha * cover
        self._stamp(corners, ink, cover)

    def over(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The picture with the strokes on it, as a new array."""
        touched = self._layer[..., 3] > 0
        result = picture.copy()
        layer = self._layer[touched].astype(np.float32)
        below = picture[touched].astype(np.float32)
        mixed = layer[:, :3] + below * (1 - layer[:, 3:] / 255)
        result[touched] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
        return result

    def _surroundings(
        self, centers: Float[np.ndarray, "n 2"], reach: float
    ) -> tuple[Float[np.ndarray, "n k k"], list[list[int]]]:
        """Distance of the pixels around each centre from it, and the (x, y) of the first one."""
        half = int(np.ceil(reach)) + 1
        corners = np.floor(centers).astype(np.int64) - half
        middles = np.arange(2 * half + 1) + 0.5
        dx = corners[:, :1] + middles - centers[:, :1]
        dy = corners[:, 1:] + middles - centers[:, 1:]
        return np.hypot(dx[:, None, :], dy[:, :, None]), corners.tolist()

    def _stamp(
        self,
        corners: list[list[int]],
        ink: Float[np.ndarray, "n k k 4"],
        cover: Float[np.ndarray, "n k k"],
    ) -> None:
        """Put ink, premultiplied by its cover, in place of that share of what is there."""
        height, width = self._layer.shape[:2]
        size = cover.shape[1]
        wet = (ink + 0.5).astype(np.float32)  # with the half that rounds
        dry = (1 - cover[..., None]).astype(np.float32)
        for n, (x, y) in enumerate(corners):
            top, left = max(0, -y), max(0, -x)
            bottom, right = min(size, height - y), min(size, width - x)
            if bottom <= top or right <= left:
                continue
            window = self._layer[y + top : y + bottom, x + left : x + right]
            part = np.s_[n, top:bottom, left:right]
            window[...] = window * dry[part] + wet[part]


def _inks(
    colors: UInt8[np.ndarray, "n 3"], alphas: Float[np.ndarray, " n"]
) -> list[tuple[float, float, float, float]]:
    full = np.concatenate([colors, np.full((len(colors), 1), 255)], axis=1)
    return [(r, g, b, a) for r, g, b, a in np.rint(full * alphas[:, None]).tolist()]


def _fixed(points: Float[np.ndarray, "*any 2"]) -> np.ndarray:
    # OpenCV has pixel centres at whole numbers, raster pixels at +0.5.
    return np.rint((points - 0.5) * _ONE).astype(np.int32)
