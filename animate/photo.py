"""Reading the photo to animate: upright, in sRGB, no larger than needed, or one line that says why
not.

Everything that asks for memory goes by strips, so that a panorama needs its decoded pixels once
and little more; JPEGs are decoded at a fraction of their size where that is enough.
"""

from __future__ import annotations

import math
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from animate.photo_colors import ColorPlan, plan_colors, strips, to_rgb
from animate.photo_kinds import FORMATS, FRAMES, unfit_by_name, why_not_opened

if TYPE_CHECKING:
    from jaxtyping import UInt8

MIN_SIDE = 16  # pixels; below that there is nothing to see move
MAX_PIXELS = 300_000_000
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SPARE = 2  # times the final size: how finely pixels are kept for the last filter
_pillow = threading.Lock()
# What Pillow's decoders raise for damaged files.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class PhotoError(ValueError):
    """A photo that cannot be animated: one line with the file, the reason and the remedy."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo, upright and in sRGB."""

    path: str
    pixels: UInt8[np.ndarray, "h w 3"]
    original_size: tuple[int, int]
    """(width, height), upright, before shrinking."""
    notes: tuple[str, ...] = ()
    """What was decided for the user: which frame, what became of transparency, of 16 bits."""


def read_photo(path: str | os.PathLike[str], *, max_side: int) -> Photo:
    """The photo at `path`, its longer side at most `max_side` pixels; it is never enlarged.

    The first frame of an animation, the first page of a document. Transparent parts are laid on
    white; colours are brought to sRGB by the profile in the file. Pillow's settings are as they
    were before when it returns.

    Raises:
        PhotoError: what is missing, no image, truncated, of more than 300 megapixels, or would
            have a side of less than 16 pixels.
        ValueError: `max_side` below 16.
    """
    if max_side < MIN_SIDE:
        raise ValueError(f"the longer side is to be {max_side} pixels: must be {MIN_SIDE} or more")
    name = os.fspath(path)
    reason = unfit_by_name(name)
    if reason is not None and os.path.isfile(name):
        raise PhotoError(f"{name}: {reason}")
    try:
        if os.path.isdir(name):
            raise PhotoError(f"{name}: is a folder: give one photo")
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise PhotoError(f"{name}: is a pipe or a device: save the photo to a file first")
        with open(name, "rb") as file, _pillow_settings():
            return _read(name, file, max_side)
    except FileNotFoundError:
        raise PhotoError(f"{name}: there is no such file: check the name") from None
    except PermissionError:
        raise PhotoError(f"{name}: may not be read: check its permissions") from None
    except OSError as error:  # of the disk; those of Pillow have been dealt with
        raise PhotoError(f"{name}: cannot be read: {error.strerror or error}") from error


def _read(name: str, file: BinaryIO, max_side: int) -> Photo:
    image = _opened(name, file)
    with image:
        stored = image.size
        target = _target(name, stored, max_side)
        notes = _frame_notes(image)
        box = _load(name, image, (target[0] * _SPARE, target[1] * _SPARE))
        colors = plan_colors(image)
        small, transparent = _shrunk(image, box, target, colors)
        turn, exif_notes = _turn(image)
    if turn is not None:
        small = small.transpose(turn)
        if small.size != target:  # a quarter turn, or a square
            stored = stored[::-1]
    notes += colors.notes + exif_notes
    if transparent:
        notes += ("transparent parts are laid on white",)
    return Photo(name, np.array(small), stored, notes)


def _opened(name: str, file: BinaryIO) -> ImageFile.ImageFile:
    head = file.read(64)
    if not head:
        raise PhotoError(f"{name}: is empty: copy or download it again")
    file.seek(0)
    known = [kind for kind in FORMATS if kind in Image.OPEN]
    try:
        image = Image.open(file, formats=known)
    except UnidentifiedImageError:
        raise PhotoError(f"{name}: {why_not_opened(name, head)}") from None
    except Image.DecompressionBombError:
        raise PhotoError(_too_large(name, f"more than {2 * MAX_PIXELS // 10**6}")) from None
    except _BROKEN as error:
        raise _broken(name, error) from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width}x{image.height} pixels, {image.width * image.height // 10**6}"
        image.close()
        raise PhotoError(_too_large(name, size))
    return image


def _too_large(name: str, size: str) -> str:
    return (
        f"{name}: is too large ({size} megapixels): shrink it to at most "
        f"{MAX_PIXELS // 10**6} megapixels first"
    )


def _target(name: str, size: tuple[int, int], max_side: int) -> tuple[int, int]:
    width, height = size
    scale = min(1.0, max_side / max(size))
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    if min(size) < MIN_SIDE:
        raise PhotoError(
            f"{name}: has {width}x{height} pixels: give a photo of at least "
            f"{MIN_SIDE}x{MIN_SIDE} pixels"
        )
    if min(target) < MIN_SIDE:
        raise PhotoError(
            f"{name}: its {width}x{height} pixels would become {target[0]}x{target[1]}, too narrow "
            f"to animate: crop it to at most {max_side // MIN_SIDE}:1, or ask for a larger size"
        )
    return target


def _frame_notes(image: ImageFile.ImageFile) -> tuple[str, ...]:
    if image.format not in FRAMES:
        return ()
    try:
        count = int(getattr(image, "n_frames", 1))
    except _BROKEN:
        return ()  # what is damaged lies behind the first frame, and that may be whole
    unit = FRAMES[image.format]
    return (f"the first of {count} {unit} is used",) if count > 1 else ()


def _load(
    name: str, image: ImageFile.ImageFile, wanted: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Decodes, where that is possible only as finely as wanted; returns where the photo lies."""
    try:
        draft = image.draft(None, wanted)
        image.load()
    except Image.DecompressionBombError:
        raise PhotoError(
            _too_large(name, f"parts of more than {2 * MAX_PIXELS // 10**6}")
        ) from None
    except _BROKEN as error:
        raise _broken(name, error) from error
    return draft[1] if draft else (0.0, 0.0, float(image.width), float(image.height))


def _shrunk(
    image: Image.Image,
    box: tuple[float, float, float, float],
    target: tuple[int, int],
    colors: ColorPlan,
) -> tuple[Image.Image, bool]:
    """In RGB at the final size, and whether anything in it was transparent."""
    width, height = image.size
    factor = max(1, math.floor(min(box[2] / target[0], box[3] / target[1]) / _SPARE))
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    transparent = False
    for top, strip in strips(image, factor):
        rgb, seen_through = to_rgb(strip, colors)
        small.paste(rgb.reduce(factor) if factor > 1 else rgb, (0, top // factor))
        transparent |= seen_through
    if small.size == target and factor == 1 and box[2:] == tuple(map(float, target)):
        return small, transparent
    extent = (0.0, 0.0, box[2] / factor, box[3] / factor)
    return small.resize(target, Image.Resampling.LANCZOS, box=extent), transparent


def _turn(image: Image.Image) -> tuple[Image.Transpose | None, tuple[str, ...]]:
    """What makes it upright. Asked after loading: Pillow turns TIFFs by itself, then."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except _BROKEN:
        return None, ("its EXIF data are damaged, so it may not be upright",)
    return _TURNS.get(orientation) if isinstance(orientation, int) else None, ()


@contextmanager
def _pillow_settings() -> Iterator[None]:
    """Ours while a photo is read: truncated is an error, and warnings stay off the terminal."""
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.init()
        limit, lenient = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = MAX_PIXELS, False
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limit, lenient


def _broken(name: str, error: Exception) -> PhotoError:
    if isinstance(error, OSError) and error.errno is not None:
        return PhotoError(f"{name}: cannot be read: {error.strerror}")
    reason = " ".join(str(error).split()) or type(error).__name__
    state = "truncated" if "truncated" in reason else f"truncated or damaged ({reason})"
    return PhotoError(f"{name}: is {state}: copy or download it again")
