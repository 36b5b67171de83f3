"""What a user may ask of a motion: drags, pins, strength, a loop, a region that keeps still."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool


@dataclass(frozen=True)
class Drag:
    """What is at (x0, y0) in the first frame arrives at (x1, y1), in pixels of the model frame.

    It arrives in the last frame; in a loop, half-way, where the motion turns.
    """

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Pin:
    """What is at (x, y) stays there, in pixels of the model frame."""

    x: float
    y: float


@dataclass(frozen=True)
class Controls:
    """All that is asked of one motion. Raises ValueError for what contradicts itself."""

    drags: tuple[Drag, ...] = ()
    pins: tuple[Pin, ...] = ()
    strength: float = 1.0
    """Displacements are multiplied by it. Drags arrive where they are told to, whatever it is."""
    loop: bool = False
    """The motion goes forth and back, and ends one frame before its beginning."""
    still: Bool[np.ndarray, "h w"] | None = field(default=None, compare=False)
    """True where the picture keeps still; a mask of the model frame, in any resolution."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.strength) and self.strength >= 0):
            raise ValueError(f"strength is {self.strength:g}: must be 0 or more")
        if self.still is not None and (self.still.ndim != 2 or not self.still.size):
            raise ValueError(f"the mask has shape {list(self.still.shape)}: must be [h, w]")

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """(x, y) of all drags, then all pins, in the first frame."""
        starts = tuple((drag.x0, drag.y0) for drag in self.drags)
        return starts + tuple((pin.x, pin.y) for pin in self.pins)

    def check(self, size: int, rows: int, cols: int) -> None:
        """Raises ValueError for what a grid over a frame of ``size`` pixels cannot do."""
        for number, drag in enumerate(self.drags, 1):
            _check_inside(f"drag {number} starts at", drag.x0, drag.y0, size)
            _check_inside(f"drag {number} ends at", drag.x1, drag.y1, size)
        for number, pin in enumerate(self.pins, 1):
            _check_inside(f"pin {number} is at", pin.x, pin.y, size)
        self._check_apart(size / max(rows, cols) / 2)
        if self.still is not None:
            still = self.still_cells(rows, cols)
            for number, drag in enumerate(self.drags, 1):
                row = min(int(drag.y0 / size * rows), rows - 1)
                col = min(int(drag.x0 / size * cols), cols - 1)
                if still[row, col]:
                    raise ValueError(
                        f"drag {number} starts at ({drag.x0:g}, {drag.y0:g}), in or next to what "
                        "the mask keeps still: start it elsewhere, or make the mask smaller"
                    )

    def still_cells(self, rows: int, cols: int) -> Bool[np.ndarray, "rows cols"]:
        """The grid cells that keep still: those that the mask touches, and their neighbours.

        The neighbours, because what lies between two grid points moves with both.
        """
        touched = np.zeros((rows + 2, cols + 2), bool)
        if self.still is not None:
            touched[1:-1, 1:-1] = _any_of_parts(_any_of_parts(self.still, rows).T, cols).T
        wide = touched[:, :-2] | touched[:, 1:-1] | touched[:, 2:]
        return wide[:-2] | wide[1:-1] | wide[2:]

    def _check_apart(self, distance: float) -> None:
        points = self.points
        for index, (x, y) in enumerate(points):
            for other_x, other_y in points[:index]:
                if math.hypot(x - other_x, y - other_y) < distance:
                    raise ValueError(
                        f"two controls start within {distance:g} pixels of each other, at "
                        f"({other_x:g}, {other_y:g}) and ({x:g}, {y:g}): leave one out"
                    )


def _check_inside(what: str, x: float, y: float, size: int) -> None:
    if not (0 <= x <= size and 0 <= y <= size):
        raise ValueError(f"{what} ({x:g}, {y:g}), outside the image of {size}x{size} pixels")


def _any_of_parts(mask: Bool[np.ndarray, "n m"], count: int) -> Bool[np.ndarray, "count m"]:
    """Whether any row is set among those that each of ``count`` equal parts touches."""
    edges = np.arange(count + 1) * len(mask) / count
    spans = zip(np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int), strict=True)
    return np.stack([mask[first:last].any(axis=0) for first, last in spans])
