"""Colours of tracks: a rainbow over the place where each track starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

# Bright all the way and of alternating lightness, so that neighbours along the ramp stay apart
# for red-green colour-blind eyes too. The ramp is open: both ends of a frame differ.
_RAMP = np.array(
    [
        (255, 64, 56),  # vermilion
        (255, 146, 30),  # orange
        (250, 226, 56),  # yellow
        (120, 220, 76),  # green
        (36, 214, 190),  # turquoise
        (62, 156, 255),  # azure
        (150, 104, 255),  # violet
        (255, 92, 212),  # pink
    ],
    dtype=np.float64,
)
_UNKNOWN = (200, 200, 200)
_SLANT = 0.25  # share of the ramp that goes by y: rows and columns both change colour
_WHITEN = 0.35  # share of white at the upper edge; none at the lower


def rainbow_colors(
    positions: Float[np.ndarray, "n 2"], extent: tuple[float, float] | None = None
) -> UInt8[np.ndarray, "n 3"]:
    """Colour of each position; neighbours get similar colours, distant points different ones.

    The hue follows 0.75 of x plus 0.25 of y along a ramp from red (left) to pink (right), and the
    colours grow paler towards the top.

    Args:
        positions: (x, y), any unit.
        extent: (width, height) of the frame in the same unit. None: the box around the positions.

    Returns:
        RGB. Positions that are not finite are grey.
    """
    points = np.asarray(positions, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"positions must have shape [N, 2], not {list(points.shape)}")
    known = np.isfinite(points).all(axis=1)
    colors = np.full((len(points), 3), _UNKNOWN, dtype=np.uint8)
    if not known.any():
        return colors
    inside = points[known]
    if extent is None:
        low, span = inside.min(axis=0), np.ptp(inside, axis=0)
    else:
        low, span = np.zeros(2), np.asarray(extent, dtype=np.float64)
    unit = np.clip((inside - low) / np.where(span > 0, span, 1.0), 0.0, 1.0)
    along = (1 - _SLANT) * unit[:, 0] + _SLANT * unit[:, 1]
    stops = np.linspace(0.0, 1.0, len(_RAMP))
    ramp = np.stack([np.interp(along, stops, _RAMP[:, c]) for c in range(3)], axis=1)
    white = _WHITEN * (1 - unit[:, 1:])
    colors[known] = np.rint(ramp * (1 - white) + 255 * white).astype(np.uint8)
    return colors
