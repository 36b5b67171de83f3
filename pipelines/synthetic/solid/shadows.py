"""Soft shadows that solids throw on the floor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.synthetic.solid.mipmaps import FROM_RASTER, TO_RASTER
from pipelines.synthetic.solid.scene import View

if TYPE_CHECKING:
    from jaxtyping import UInt8

_CELLS = 160  # along the longer side of the floor
_SOFTNESS = 1.3  # standard deviation of the blur, in cells
_SHIFT = 4  # fractional bits of OpenCV's polygon corners


class Shadows:
    """Brightness of the floor, as a map over the room's first facet."""

    def __init__(self, view: View) -> None:
        self._view = view
        floor = view.scene.solids[0]
        corners = floor.shape.vertices[list(floor.shape.loops[0])]
        self._origin = corners.min(axis=0)
        extent = corners.max(axis=0) - self._origin
        self._cell = float(extent[:2].max()) / _CELLS
        columns, rows = np.ceil(extent[:2] / self._cell).astype(int)
        self._shape = (int(rows), int(columns))
        self._cells: np.ndarray | None = None  # the last map

    def shade(self, index: int) -> UInt8[np.ndarray, "h w"]:
        """Brightness (255: full light) of the floor's plane at a moment, seen in the frame."""
        view = self._view
        if self._cells is None or len(view.scene.poses.moments) > 1:
            self._cells = self._draw(index)
        # The floor's own homography starts from its photo: map cells to the photo first.
        frame = view.scene.solids[0].frames[0]
        to_world = np.array(
            [[self._cell, 0, self._origin[0]], [0, self._cell, self._origin[1]], [0, 0, 1.0]]
        )
        flat = np.stack([frame[0], frame[1], [0, 0, 1.0]])
        to_frame = view.matrices[index, 0] @ np.linalg.inv(flat) @ to_world
        matrix = FROM_RASTER @ to_frame @ TO_RASTER
        size = view.scene.camera.frame_size
        return cv2.warpPerspective(self._cells, matrix, size, borderValue=255)

    def _draw(self, index: int) -> UInt8[np.ndarray, "row column"]:
        """The map of the floor at a moment."""
        cells = np.full(self._shape, 255, np.uint8)
        for outline in self._outlines(index):
            dark = round(255 * self._view.scene.shadow)
            cv2.fillConvexPoly(cells, outline, dark, cv2.LINE_AA, _SHIFT)
        return cv2.GaussianBlur(cells, (0, 0), _SOFTNESS)

    def _outlines(self, index: int) -> list[np.ndarray]:
        """Shadows as convex polygons, int32 cells with `_SHIFT` fractional bits."""
        scene = self._view.scene
        turn, place = scene.poses.at(self._view.times[index : index + 1])
        outlines = []
        for solid in scene.solids[1:]:
            points = solid.shape.vertices @ turn[0, solid.body].T + place[0, solid.body]
            height = np.maximum(points[:, 2:] - self._origin[2], 0)
            fallen = points - height * scene.light / scene.light[2]
            flat = (fallen[:, :2] - self._origin[:2]) / self._cell - 0.5
            outlines.append(cv2.convexHull(np.round(flat * 2**_SHIFT).astype(np.int32)))
        return outlines
