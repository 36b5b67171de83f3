"""Query points as people type them: "x,y@t;x,y@t"."""

from __future__ import annotations

import numpy as np


def parse_points(text: str) -> np.ndarray:
    """float32 [N, 3] (t, y, x) from "x,y@t;…"; t may be left out and is 0 then.

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
