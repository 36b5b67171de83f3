"""Photos that the tests make themselves, so that what must come out is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from animate.photo import PhotoError, read_photo

COLORS = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [200, 200, 30]]], np.uint8)
ORIENTATION = 0x0112


def corners(width: int = 96, height: int = 64) -> np.ndarray:
    """Red, green / blue, yellow quarters."""
    return COLORS.repeat(height // 2, axis=0).repeat(width // 2, axis=1)


# Which sides of the scene row 0 and column 0 of the stored picture are, by orientation tag.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera held that way stores."""
    sides = SIDES[orientation]
    scene = upright[::-1] if "bottom" in sides else upright
    scene = scene[:, ::-1] if "right" in sides else scene
    return np.ascontiguousarray(scene if sides[0] in ("top", "bottom") else scene.swapaxes(0, 1))


def save(path: Path, pixels: Any, **options: Any) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def read(path: Path, max_side: int = 256) -> np.ndarray:
    return read_photo(path, max_side=max_side).pixels


def notes(path: Path) -> str:
    return "; ".join(read_photo(path, max_side=256).notes)


def complaint(path: Path, max_side: int = 256) -> str:
    """The error, which is one line that begins with the file's name."""
    with pytest.raises(PhotoError) as error:
        read_photo(path, max_side=max_side)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def plane(width: int, height: int) -> np.ndarray:
    """0 to 255 from left to right in red, from top to bottom in green."""
    y, x = np.mgrid[:height, :width] + 0.5
    colors = np.stack([255 * x / width, 255 * y / height, 0 * x + 90], axis=-1)
    return colors.round().astype(np.uint8)
