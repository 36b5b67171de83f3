"""Photos at falling sizes, made when they are first drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

# OpenCV counts pixel centres at integers, rasters at +0.5.
TO_RASTER = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
FROM_RASTER = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])

_LEAST_SIDE = 12  # pixels
_Level = tuple["UInt8[np.ndarray, 'h w 4']", "Float[np.ndarray, '3 3']"]


class Mipmaps:
    """Photos with a fourth channel, which OpenCV draws faster; each level is 0.71 of the last."""

    def __init__(self, photos: Sequence[UInt8[np.ndarray, "h w 3"]]) -> None:
        self._photos = photos
        self._levels: dict[tuple[int, int], _Level] = {}
        self._coarsest = [
            max(math.floor(2 * math.log2(min(photo.shape[:2]) / _LEAST_SIDE)), 0)
            for photo in photos
        ]

    def coarsest(self, photo: int) -> int:
        """The last level of a photo."""
        return self._coarsest[photo]

    def level(self, photo: int, level: int) -> _Level:
        """A photo at a level, and the matrix from OpenCV's pixels of it to the photo's raster."""
        key = (photo, level)
        if key not in self._levels:
            self._levels[key] = self._shrink(photo, level)
        return self._levels[key]

    def _shrink(self, photo: int, level: int) -> _Level:
        if level == 0:
            return cv2.cvtColor(self._photos[photo], cv2.COLOR_RGB2RGBA), TO_RASTER
        finer, to_photo = self.level(photo, max(level - 2, 0))
        height, width = finer.shape[:2]
        if level == 1:
            # Area averages are slow but for halves; for a factor this mild, linear ones will do.
            size = round(width * math.sqrt(0.5)), round(height * math.sqrt(0.5))
            shrunk = cv2.resize(finer, size, interpolation=cv2.INTER_LINEAR)
        else:
            width, height = width - width % 2, height - height % 2
            size = width // 2, height // 2
            shrunk = cv2.resize(finer[:height, :width], size, interpolation=cv2.INTER_AREA)
        enlarge = np.diag([width / size[0], height / size[1], 1.0])
        return shrunk, to_photo @ FROM_RASTER @ enlarge @ TO_RASTER
