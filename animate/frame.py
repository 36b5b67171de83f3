"""The square that the models see, and where it lies in the photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from animate.settings import AnimationSettings
from models.animation.controls import Controls, Drag, Pin
from models.animation.surroundings import Box

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8


def model_frame(width: int, height: int, settings: AnimationSettings) -> Box:
    """The square in the middle of a photo: within it for "crop", around it for "fit".

    In whole pixels of the photo. That of "fit" reaches beyond it along the shorter side.
    """
    inner, outer = min(width, height), max(width, height)
    square = _middle(width, height, inner)
    whole = settings.fit == "fit"
    if settings.fit == "auto":
        points = [(drag.x0, drag.y0) for drag in settings.drags]
        points += [(drag.x1, drag.y1) for drag in settings.drags]
        points += [(pin.x, pin.y) for pin in settings.pins]
        whole = settings.mask is not None or not all(_contains(square, *point) for point in points)
    return _middle(width, height, outer) if whole else square


def _middle(width: int, height: int, side: int) -> Box:
    return Box((width - side) // 2, (height - side) // 2, side, side)


def _contains(box: Box, x: float, y: float) -> bool:
    return box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height


def model_image(
    pixels: UInt8[np.ndarray, "H W 3"], frame: Box, size: int
) -> Float[Tensor, "1 3 s s"]:
    """What the models are given: the frame at their size, in [-1, 1].

    Borders beyond the photo repeat its outermost pixels.
    """
    height, width = pixels.shape[:2]
    x, y = round(frame.x), round(frame.y)
    right, bottom = round(frame.x + frame.width), round(frame.y + frame.height)
    part = pixels[max(y, 0) : bottom, max(x, 0) : right]
    picture = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None].float()
    borders = (max(-x, 0), max(right - width, 0), max(-y, 0), max(bottom - height, 0))
    square = F.pad(picture / 127.5 - 1, borders, mode="replicate")
    image = F.interpolate(
        square, (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return image.clamp(-1, 1)


def controls_in_frame(
    settings: AnimationSettings, frame: Box, photo_size: tuple[int, int], size: int
) -> Controls:
    """What is asked in pixels of the photo, in those of the model frame.

    ``photo_size`` is (width, height). Raises ValueError for drags and pins outside the photo, or in
    a part of it that the models do not see, and for a mask of other proportions.
    """
    width, height = photo_size
    across, down = size / frame.width, size / frame.height

    def place(what: str, x: float, y: float) -> tuple[float, float]:
        if not (0 <= x <= width and 0 <= y <= height):
            raise ValueError(f"{what} ({x:g}, {y:g}), outside the photo of {width}x{height} pixels")
        inner = (x - frame.x) * across, (y - frame.y) * down
        if not (0 <= inner[0] <= size and 0 <= inner[1] <= size):
            raise ValueError(
                f"{what} ({x:g}, {y:g}), beside the square that the model sees, x {frame.x:g} to "
                f"{frame.x + frame.width:g}, y {frame.y:g} to {frame.y + frame.height:g}: "
                "animate with fit (--fit fit), so that it sees the whole photo"
            )
        return inner

    drags = []
    for number, drag in enumerate(settings.drags, 1):
        start = place(f"drag {number} starts at", drag.x0, drag.y0)
        drags.append(Drag(*start, *place(f"drag {number} ends at", drag.x1, drag.y1)))
    pins = [
        Pin(*place(f"pin {number} is at", pin.x, pin.y))
        for number, pin in enumerate(settings.pins, 1)
    ]
    still = None if settings.mask is None else _mask_in_frame(settings.mask, frame, photo_size)
    return Controls(
        drags=tuple(drags),
        pins=tuple(pins),
        strength=settings.strength,
        loop=settings.loop,
        still=still,
    )


def _mask_in_frame(
    mask: Bool[np.ndarray, "H W"], frame: Box, photo_size: tuple[int, int]
) -> Bool[np.ndarray, "h w"]:
    """The part of a mask that lies in the frame, continued beyond the photo."""
    width, height = photo_size
    rows, cols = mask.shape
    if abs(cols / rows - width / height) > 0.02 * width / height:
        raise ValueError(
            f"the mask has {cols}x{rows} pixels, the photo {width}x{height}: a mask must have the "
            "photo's proportions"
        )
    across, down = cols / width, rows / height
    left, right = round(frame.x * across), round((frame.x + frame.width) * across)
    top, bottom = round(frame.y * down), round((frame.y + frame.height) * down)
    padding = max(0, -left, -top, right - cols, bottom - rows)
    wide = np.pad(mask, padding, mode="edge")
    return wide[top + padding : bottom + padding, left + padding : right + padding]
