"""Query points as people type them: "x,y@t;x,y@t"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def parse_points(text: str) -> Float[np.ndarray, "n 3"]:
    """float32 (t, y, x) from "x,y@t;…"; t may be left out and is 0 then.

    Raises ValueError showing the part that is not a point.
    """
    points = []
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        place, _, time = part.partition("@")
        try:
            x, y = (float(value) for value in place.split(","))
            t = float(time) if time.strip() else 0.0
        except ValueError:
            raise ValueError(f'"{part}" is not a point: write x,y@t, such as 120,80.5@0') from None
        points.append((t, y, x))
    if not points:
        raise ValueError('no points given: write x,y@t;x,y@t, such as "120,80@0;40,200@12"')
    return np.array(points, np.float32)


def check_points(
    points: Float[np.ndarray, "n 3"], num_frames: int, height: int, width: int
) -> None:
    """Raises ValueError naming, as it was typed, the first point outside the video."""
    limits = np.array([num_frames - 1, height, width])
    for t, y, x in points[~((points >= 0) & (points <= limits)).all(axis=1)]:
        raise ValueError(
            f"point {x:g},{y:g}@{t:g} lies outside the video: x goes from 0 to {width}, y to "
            f"{height}, t to {num_frames - 1}"
        )
