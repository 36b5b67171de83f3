"""Draw the frames of a solid scene with a depth buffer and smooth edges.

What is seen is decided at several points per pixel, colours are looked up once per pixel and
facet, and a pixel mixes the facets in it by the share of its points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from pipelines.synthetic.solid.mipmaps import FROM_RASTER, Mipmaps
from pipelines.synthetic.solid.scene import View
from pipelines.synthetic.solid.shadows import Shadows

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, UInt8

_NEAR = 0.05  # metres; a solid that comes nearer may be seen anywhere in the frame


def draw_frames(view: View, fine: int = 2) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield the picture at each moment of the view; `fine`^2 points per pixel are tested."""
    painter = _Painter(view, fine)
    for index in range(len(view.times)):
        yield cv2.cvtColor(painter.paint(index), cv2.COLOR_RGBA2RGB)


class _Region(NamedTuple):
    """A rectangle of whole pixels."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class _Drawn:
    """A solid's part in the depth test: where it is, and the planes that rays may enter by."""

    region: _Region  # pixels
    inverse_depth: float | None  # about that of the whole solid; None: it varies too much
    facets: list[int]
    planes: Float32[np.ndarray, "f h w"]  # inverse depth of each facet, at the fine points
    entry: Float32[np.ndarray, "h w"]  # that of the surface


class _Painter:
    """Draws moments of a view, one after the other, into the same buffers."""

    def __init__(self, view: View, fine: int) -> None:
        self.view = view
        self.photos = Mipmaps(view.scene.photos)
        self.shadows = Shadows(view) if view.scene.shadow < 1 else None
        self.shade: np.ndarray | None = None
        self.fine = fine
        self.size = width, height = view.scene.camera.frame_size
        self.along = ((np.arange(fine * width) + 0.5) / fine).astype(np.float32)
        self.down = ((np.arange(fine * height) + 0.5) / fine).astype(np.float32)
        self.planes = view.planes.astype(np.float32)
        self.depth = np.zeros((fine * height, fine * width), np.float32)  # larger is nearer
        self.owner = np.zeros((fine * height, fine * width), np.uint8)  # the solid that is seen
        # Four channels: OpenCV draws them in half the time of three.
        self.picture = np.zeros((height, width, 4), np.uint8)
        # The area of a small patch of a photo grows by |det| * w^3, w being its inverse depth.
        self.areas = np.log2(np.maximum(np.abs(np.linalg.det(view.matrices)), 1e-30))
        self.matrices = FROM_RASTER @ view.matrices

    def paint(self, index: int) -> UInt8[np.ndarray, "h w 4"]:
        """The picture of a moment; valid until the next call."""
        if self.shadows is not None:
            self.shade = self.shadows.shade(index)
        drawn = {0: self._test_room(index)}
        for solid in range(1, len(self.view.scene.solids)):
            tested = self._test_solid(index, solid)
            if tested is not None:
                drawn[solid] = tested
        self.picture[:] = 0
        for solid, tested in drawn.items():
            self._paint_solid(index, solid, tested)
        return self.picture

    def _test_room(self, index: int) -> _Drawn:
        count = len(self.view.scene.solids[0].shape.loops)
        facets = self._seen_walls(index, np.flatnonzero(self.view.facing[index, :count]))
        region = _Region(0, 0, *self.size)
        planes = self._planes(index, facets, region)
        np.copyto(self.depth, planes[0])
        for plane in planes[1:]:
            cv2.max(self.depth, plane, self.depth)
        self.owner[:] = 0
        # The solids will change the depth; one wall alone is seen wherever the room is.
        entry = self.depth.copy() if len(facets) > 1 else planes[0]
        return _Drawn(region, None, facets.tolist(), planes, entry)

    def _seen_walls(self, index: int, facets: np.ndarray) -> np.ndarray:
        """Leave out walls that lie behind a single other one in all four corners of the frame."""
        width, height = self.size
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1.0]])
        depths = self.view.planes[index, facets] @ corners.T
        behind = (depths[None] >= depths[:, None]).all(axis=-1)
        np.fill_diagonal(behind, False)
        return facets[~behind.any(axis=1)]

    def _test_solid(self, index: int, solid: int) -> _Drawn | None:
        """Enter a solid into the depth buffer; None if no ray through the frame meets it."""
        outline = self.view.outlines[solid][index]
        region = left, top, right, bottom = self._bounds(outline)
        if left >= right or top >= bottom:
            return None
        start = int(self.view.scene.starts[solid])
        count = len(self.view.scene.solids[solid].shape.loops)
        facing = self.view.facing[index, start : start + count]
        fronts = start + np.flatnonzero(facing)
        if len(fronts) == 0:  # the camera is inside
            return None
        part = self._fine_part(region)
        # Rays enter at the last plane that faces the camera, and leave at the first that does not.
        planes = self._planes(index, fronts, region)
        entry = planes[0].copy()
        for plane in planes[1:]:
            cv2.min(entry, plane, entry)
        leave = self.depth[part].copy()
        for plane in self._planes(index, start + np.flatnonzero(~facing), region):
            cv2.max(leave, plane, leave)
        hit = cv2.compare(entry, leave, cv2.CMP_GT)
        cv2.copyTo(entry, hit, self.depth[part])
        self.owner[part][hit.view(bool)] = solid
        far = float(outline[:, 2].mean())
        return _Drawn(region, 1 / max(far, _NEAR), fronts.tolist(), planes, entry)

    def _fine_part(self, region: _Region) -> tuple[slice, slice]:
        left, top, right, bottom = (self.fine * side for side in region)
        return slice(top, bottom), slice(left, right)

    def _planes(
        self, index: int, facets: np.ndarray, region: _Region
    ) -> Float32[np.ndarray, "f h w"]:
        """Inverse depth of facets' planes at the fine points of a region."""
        down, along = self._fine_part(region)
        a, b, c = self.planes[index, facets].T[:, :, None]
        return (b * self.down[down] + c)[:, :, None] + (a * self.along[along])[:, None]

    def _bounds(self, outline: Float[np.ndarray, "v 3"]) -> _Region:
        """The pixels that a solid can touch, by its homogeneous corners."""
        width, height = self.size
        x, y, depth = outline.T.tolist()
        if min(depth) < _NEAR:  # reaches behind the camera: no bound
            return _Region(0, 0, width, height)
        x = [value / far for value, far in zip(x, depth, strict=True)]
        y = [value / far for value, far in zip(y, depth, strict=True)]
        return _Region(
            min(max(math.floor(min(x)), 0), width),
            min(max(math.floor(min(y)), 0), height),
            min(max(math.ceil(max(x)), 0), width),
            min(max(math.ceil(max(y)), 0), height),
        )

    def _paint_solid(self, index: int, solid: int, tested: _Drawn) -> None:
        """Add the facets of a solid to the picture, where it is what is seen."""
        left, top, *_ = tested.region
        fine = self.fine
        seen = cv2.inRange(self.owner[self._fine_part(tested.region)], solid, solid)
        for facet, plane in zip(tested.facets, tested.planes, strict=True):
            mask = seen
            if len(tested.facets) > 1:
                mask = cv2.bitwise_and(seen, cv2.compare(plane, tested.entry, cv2.CMP_EQ))
            x, y, width, height = cv2.boundingRect(mask)
            if width == 0:
                continue
            box = _Region(x // fine, y // fine, -(-(x + width) // fine), -(-(y + height) // fine))
            inner = self._fine_part(box)
            mask = mask[inner]
            near = far = tested.inverse_depth
            if near is None or far is None:
                # The box of a wall may reach beyond its horizon: only what is drawn counts.
                far, near = cv2.minMaxLoc(plane[inner], mask)[:2]
            if fine > 1:
                size = box.right - box.left, box.bottom - box.top
                mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
            place = _Region(left + box.left, top + box.top, left + box.right, top + box.bottom)
            self._paint_facet(index, facet, (near, far), mask, place)

    def _paint_facet(
        self,
        index: int,
        facet: int,
        depths: tuple[float, float],
        weight: UInt8[np.ndarray, "h w"],
        place: _Region,
    ) -> None:
        """Add a facet to the picture; far and near parts from different mip levels.

        `depths` are its greatest and least inverse depth, `weight` its share of each pixel.
        """
        # Levels count octaves of area, that is, half octaves of length.
        area = float(self.areas[index, facet])
        most = self.photos.coarsest(self.view.scene.facet_photos[facet])
        near = round(-area - 3 * math.log2(depths[0]))
        near = min(max(near, 0), most)
        far = near
        if depths[1] < depths[0]:
            far = min(max(round(-area - 3 * math.log2(max(depths[1], 1e-6))), 0), most)
        if far - near < 2:
            self._paint_level(index, facet, (far + near) // 2, weight, place)
            return
        a, b, c = self.planes[index, facet]
        along = np.arange(place.left, place.right, dtype=np.float32) + np.float32(0.5)
        down = np.arange(place.top, place.bottom, dtype=np.float32) + np.float32(0.5)
        plane = (b * down + c)[:, None] + (a * along)[None]
        bounds = [2 ** ((-area - level - 0.5) / 3) for level in range(near, far)]
        for level, (nearest, farthest) in enumerate(pairwise([1e9, *bounds, -1e9]), start=near):
            band = cv2.bitwise_and(weight, cv2.inRange(plane, farthest, nearest))
            x, y, width, height = cv2.boundingRect(band)
            if width:
                left, top = place.left + x, place.top + y
                band = band[y : y + height, x : x + width]
                box = _Region(left, top, left + width, top + height)
                self._paint_level(index, facet, level, band, box)

    def _paint_level(
        self, index: int, facet: int, level: int, weight: np.ndarray, place: _Region
    ) -> None:
        """Add a part of a facet to the picture, from one mip level of its photo."""
        image, to_photo = self.photos.level(self.view.scene.facet_photos[facet], level)
        left, top, right, bottom = place
        matrix = self.matrices[index, facet] @ to_photo
        matrix[0] -= left * matrix[2]
        matrix[1] -= top * matrix[2]
        drawn = cv2.warpPerspective(
            image,
            matrix,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        part = slice(top, bottom), slice(left, right)
        if facet == 0 and self.shade is not None:
            weight = cv2.multiply(weight, self.shade[part], scale=1 / 255)
        gain = float(self.view.gains[index, facet])
        lit = cv2.multiply(drawn, cv2.cvtColor(weight, cv2.COLOR_GRAY2RGBA), scale=gain / 255)
        below = self.picture[part]
        cv2.add(below, lit, below)
