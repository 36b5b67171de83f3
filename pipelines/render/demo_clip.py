"""A rendered clip whose motion is known exactly, for use where no video is at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.render.textures import Palette, marble

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_SUPERSAMPLE = 2
_ROUNDING = 1e-6  # pixels: a query on an edge of the frame or of a shape is not lost to arithmetic
_LAND: Palette = ((14, 38, 58), (32, 84, 98), (84, 134, 116), (178, 172, 118), (234, 208, 152))
_SHAPES: tuple[Palette, ...] = (
    ((88, 22, 30), (186, 62, 44), (240, 140, 74), (255, 214, 160)),
    ((24, 26, 84), (56, 82, 176), (120, 166, 232), (226, 238, 252)),
    ((70, 28, 84), (148, 60, 142), (224, 124, 174), (252, 218, 226)),
)


@dataclass(frozen=True)
class Motion:
    """A similarity transform that changes smoothly with the phase p in [0, 1] of the clip.

    Layer coordinates (u, v) have their origin at the layer's anchor. A point of the layer is at
    centre(p) + zoom(p) * rotation(p) * (u, v) in raster pixels of the frame, where
    centre(p) = start + p * travel + sin(pi * p) * bow, angle(p) = angle + p * turn (radians, from
    x towards y) and zoom(p) = zoom ** p.
    """

    start: tuple[float, float]
    travel: tuple[float, float] = (0.0, 0.0)
    bow: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0
    turn: float = 0.0
    zoom: float = 1.0

    def matrix(self, p: float) -> Float[np.ndarray, "2 3"]:
        """Affine map from layer coordinates to raster pixels of the frame."""
        angle, zoom = self.angle + p * self.turn, self.zoom**p
        cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
        bow = np.sin(np.pi * p)
        x = self.start[0] + p * self.travel[0] + bow * self.bow[0]
        y = self.start[1] + p * self.travel[1] + bow * self.bow[1]
        return np.array([[cos, -sin, x], [sin, cos, y]])


@dataclass(frozen=True)
class Layer:
    """A textured sheet, or a shape cut from one.

    The outline in polar form is radius * (1 + wave * cos(lobes * angle)); radius None: no outline,
    the layer fills the plane. The texture's middle is the layer's anchor; one texel is one pixel.
    """

    texture: UInt8[np.ndarray, "a b 3"]
    motion: Motion
    radius: float | None = None
    lobes: int = 0
    wave: float = 0.0

    def depth_inside(self, points: Float[np.ndarray, "*any 2"]) -> Float[np.ndarray, "*any"]:
        """How far points lie inside the outline along the ray from the anchor; negative outside.

        Points are in layer coordinates; so is the result.
        """
        if self.radius is None:
            return np.full(points.shape[:-1], np.inf)
        u, v = points[..., 0], points[..., 1]
        outline = self.radius * (1 + self.wave * np.cos(self.lobes * np.arctan2(v, u)))
        return outline - np.hypot(u, v)


@dataclass(frozen=True)
class DemoClip:
    """Rendered frames and the layers they were rendered from, the backmost first."""

    video: UInt8[np.ndarray, "t h w 3"]
    fps: float
    layers: tuple[Layer, ...] = field(repr=False)

    def truth(
        self, queries: Float[np.ndarray, "n 3"]
    ) -> tuple[Float[np.ndarray, "n t 2"], Bool[np.ndarray, "n t"]]:
        """Exact tracks of any query points of this clip.

        Args:
            queries: (t, y, x): frame index (fractions allowed), raster pixels. A query stands for
                the surface that is in front at that place and time.

        Returns:
            Tracks float32 (x, y), and whether the point is inside the frame and not hidden by
            another layer. Positions are exact in both cases.

        Raises:
            ValueError: queries that are not [N, 3], or outside the clip.
        """
        num_frames, height, width = self.video.shape[:3]
        points = np.asarray(queries, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"queries must have shape [N, 3], not {list(points.shape)}")
        limits = np.array([num_frames - 1, height, width])
        if not ((points >= 0) & (points <= limits)).all():
            raise ValueError(
                f"queries (t, y, x) must lie within {num_frames} frames of {width} x {height}"
            )
        places = points[:, :0:-1]
        times = points[:, 0]
        tracks = np.zeros((len(points), num_frames, 2))
        visible = np.zeros((len(points), num_frames), dtype=bool)
        # From the front: a query belongs to the first layer that it meets.
        free = np.ones(len(points), dtype=bool)
        for level in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[level]
            local = self._to_layer(level, places, times)
            own = free & (layer.depth_inside(local) >= 0)
            free &= ~own
            if not own.any():
                continue
            for frame in range(num_frames):
                now = _apply(layer.motion.matrix(self._phase(frame)), local[own])
                tracks[own, frame] = now
                off = np.maximum(-now, now - (width, height)).max(axis=1)
                visible[own, frame] = (off <= _ROUNDING) & ~self._hidden(level, now, frame)
        return tracks.astype(np.float32), visible

    def _phase(self, t: float) -> float:
        return t / max(1, len(self.video) - 1)

    def _to_layer(
        self, level: int, places: Float[np.ndarray, "n 2"], times: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n 2"]:
        local = np.empty_like(places)
        for t in np.unique(times):
            at = times == t
            matrix = self.layers[level].motion.matrix(self._phase(float(t)))
            local[at] = _apply(_inverse(matrix), places[at])
        return local

    def _hidden(
        self, level: int, places: Float[np.ndarray, "n 2"], frame: int
    ) -> Bool[np.ndarray, " n"]:
        """Whether a layer in front of `level` covers the places of that frame."""
        hidden = np.zeros(len(places), dtype=bool)
        for above in self.layers[level + 1 :]:
            local = _apply(_inverse(above.motion.matrix(self._phase(frame))), places)
            hidden |= above.depth_inside(local) > _ROUNDING
        return hidden


def demo_clip(
    num_frames: int = 48, height: int = 256, width: int = 256, seed: int = 0, fps: float = 24.0
) -> DemoClip:
    """Render a clip: a background that pans, turns and zooms, and three shapes that cross it.

    The red shape passes in front of the blue one in the middle of the clip. The same arguments
    give the same frames.

    Raises:
        ValueError: fewer than one frame, or a side below 16 pixels.
    """
    if num_frames < 1 or min(height, width) < 16:
        raise ValueError(
            f"a demo clip needs at least 1 frame of 16 x 16, not {num_frames} of {width} x {height}"
        )
    rng = np.random.default_rng(seed)
    layers = _scene(rng, height, width)
    last = max(1, num_frames - 1)
    frames = [render_layers(layers, t / last, height, width) for t in range(num_frames)]
    return DemoClip(np.stack(frames), fps, layers)


def render_layers(
    layers: tuple[Layer, ...], p: float, height: int, width: int
) -> UInt8[np.ndarray, "h w 3"]:
    """One frame at phase `p`, anti-aliased."""
    size = (width * _SUPERSAMPLE, height * _SUPERSAMPLE)
    image = np.zeros((size[1], size[0], 3), dtype=np.float32)
    centers_x = (np.arange(size[0]) + 0.5) / _SUPERSAMPLE
    centers_y = (np.arange(size[1]) + 0.5) / _SUPERSAMPLE
    for layer in layers:
        matrix = layer.motion.matrix(p)
        color = cv2.warpAffine(
            layer.texture,
            _texel_map(matrix, layer.texture),
            size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        ).astype(np.float32)
        if layer.radius is None:
            image = color
            continue
        reach = layer.radius * (1 + abs(layer.wave)) * float(np.hypot(*matrix[:, 0])) + 1
        xs = _window(matrix[0, 2], reach, size[0])
        ys = _window(matrix[1, 2], reach, size[1])
        grid = np.stack(np.meshgrid(centers_x[xs], centers_y[ys]), axis=-1)
        depth = layer.depth_inside(_apply(_inverse(matrix), grid))
        cover = np.clip(depth * _SUPERSAMPLE + 0.5, 0.0, 1.0).astype(np.float32)[..., None]
        # A darker rim, part of the shape's surface, makes it read as a solid thing.
        rim = np.clip(depth / (0.12 * layer.radius), 0.0, 1.0).astype(np.float32)[..., None]
        image[ys, xs] += cover * (color[ys, xs] * (0.55 + 0.45 * rim) - image[ys, xs])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _scene(rng: np.random.Generator, height: int, width: int) -> tuple[Layer, ...]:
    side = min(height, width)
    # Mirrored or not in x: seeds differ in more than texture.
    flip = 1.0 if rng.random() < 0.5 else -1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return width * (0.5 + flip * x), height * (0.5 + y)

    def by(x: float, y: float) -> tuple[float, float]:
        return flip * x * width, y * height

    def sheet(area_height: float, area_width: float, palette: Palette, grain: float) -> np.ndarray:
        return marble(rng, int(area_height), int(area_width), palette, grain=grain * side)

    def cutout(radius: float, palette: Palette) -> np.ndarray:
        return sheet(2.8 * radius * side, 2.8 * radius * side, palette, 0.16)

    background = Layer(
        sheet(1.5 * height, 1.5 * width, _LAND, 0.22),
        Motion(at(0.05, 0.03), by(-0.10, -0.05), by(0.0, 0.03), -0.05 * flip, 0.10 * flip, 1.12),
    )
    red, blue, pink = (_SHAPES[i] for i in (0, 1, 2))
    blue_shape = Layer(
        cutout(0.17, blue),
        Motion(at(0.12, 0.10), by(-0.10, -0.06), (0.0, 0.0), rng.uniform(0, 6.28), -0.9 * flip),
        radius=0.17 * side,
        lobes=4,
        wave=0.10,
    )
    pink_shape = Layer(
        cutout(0.11, pink),
        Motion(at(0.26, -0.34), by(-0.5, 0.06), by(0.0, 0.06), rng.uniform(0, 6.28), 1.6, 1.3),
        radius=0.11 * side,
        lobes=3,
        wave=0.14,
    )
    red_shape = Layer(
        cutout(0.14, red),
        Motion(at(-0.36, 0.22), by(0.68, -0.10), by(0.0, -0.10), rng.uniform(0, 6.28), 2.0 * flip),
        radius=0.14 * side,
        lobes=5,
        wave=0.13,
    )
    return background, blue_shape, pink_shape, red_shape


def _texel_map(
    matrix: Float[np.ndarray, "2 3"], texture: UInt8[np.ndarray, "a b 3"]
) -> Float[np.ndarray, "2 3"]:
    """Layer-to-frame map as OpenCV wants it: between pixel centres of texture and big frame."""
    middle = np.array([texture.shape[1] / 2, texture.shape[0] / 2])
    linear = matrix[:, :2] * _SUPERSAMPLE
    # Centre (i, j) of a texel is raster (i + 0.5, j + 0.5); the frame's centres likewise.
    offset = linear @ (0.5 - middle) + matrix[:, 2] * _SUPERSAMPLE - 0.5
    return np.concatenate([linear, offset[:, None]], axis=1)


def _window(center: float, reach: float, size: int) -> slice:
    """Part of an axis of the big frame that a shape can touch."""
    low = int(np.clip((center - reach) * _SUPERSAMPLE, 0, size))
    high = int(np.clip(np.ceil((center + reach) * _SUPERSAMPLE), 0, size))
    return slice(low, high)


def _apply(
    matrix: Float[np.ndarray, "2 3"], points: Float[np.ndarray, "*any 2"]
) -> Float[np.ndarray, "*any 2"]:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _inverse(matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -(linear @ matrix[:, 2])[:, None]], axis=1)
