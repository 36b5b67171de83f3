"""How an upright picture is laid into a square clip, and how clip pixels map back.

Pure arithmetic. Coordinates are raster pixels: (0, 0) is the upper-left corner of the upper-left
pixel, so scaling multiplies coordinates by out / in and cropping subtracts whole pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Fit = Literal["crop", "fit"]
FITS: tuple[str, ...] = get_args(Fit)

# Beyond this a centre crop shows a sliver of the picture and the scaled picture gets enormous.
MAX_ASPECT = 16.0


@dataclass(frozen=True)
class Layout:
    """The upright picture is scaled to `scaled_*`, then the clip's window is cut at `left`, `top`.

    `left` and `top` are whole pixels of the scaled picture; negative ones mean black borders.
    """

    source_width: int
    source_height: int
    scaled_width: int
    scaled_height: int
    left: int
    top: int
    size: int

    @property
    def rectangle(self) -> tuple[float, float, float, float]:
        """(x, y, width, height) of the clip's window in pixels of the upright source.

        Exact: x_source = x + x_clip * width / size, and the same for y.
        """
        across = self.source_width / self.scaled_width
        down = self.source_height / self.scaled_height
        return self.left * across, self.top * down, self.size * across, self.size * down


def clip_layout(width: int, height: int, size: int, fit: Fit) -> Layout:
    """Layout of an upright `width` x `height` picture in a clip of `size` x `size` pixels.

    "crop" fills the square with the centre of the picture; "fit" shows the whole picture between
    black borders. Scaled sides are rounded to whole pixels, which changes the aspect ratio by less
    than a pixel; the layout's rectangle accounts for it. Raises ValueError for an empty picture,
    an unknown fit, or a picture longer than 16 times its short side.
    """
    if width < 1 or height < 1:
        raise ValueError(f"the picture is empty ({width}x{height})")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(f"the picture is too oblong ({width}x{height}, limit {MAX_ASPECT:g}:1)")
    if fit == "crop":
        scale = size / min(width, height)
    elif fit == "fit":
        scale = size / max(width, height)
    else:
        raise ValueError(f"unknown fit {fit!r}: choose one of {', '.join(FITS)}")
    scaled_width = max(1, round(width * scale))
    scaled_height = max(1, round(height * scale))
    return Layout(
        source_width=width,
        source_height=height,
        scaled_width=scaled_width,
        scaled_height=scaled_height,
        left=(scaled_width - size) // 2,
        top=(scaled_height - size) // 2,
        size=size,
    )


def limit_side(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """(width, height) scaled down, aspect kept, so that the long side is at most `max_side`."""
    longest = max(width, height)
    if max_side is None or longest <= max_side:
        return width, height
    return max(1, round(width * max_side / longest)), max(1, round(height * max_side / longest))
