"""From every mode that a photo may come in to 8-bit sRGB, one strip after the other."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from jaxtyping import Num

_STRIP_PIXELS = 2_000_000
_SAMPLES = 1_000_000  # values that percentiles are taken from
_TAIL = 0.5  # percent at either end of values without a natural range
_SIXTEEN_BITS = 65535
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_GRAY = ("1", "L", "LA", "La")


@dataclass(frozen=True)
class Levels:
    """The values that become black and white in a picture of more than 8 bits."""

    black: float
    white: float


@dataclass(frozen=True)
class ColorPlan:
    """How strips of one picture become sRGB."""

    base: str
    """Mode that the transform takes: "L", "RGB" or "CMYK"."""
    transform: ImageCms.ImageCmsTransform | None = None
    levels: Levels | None = None
    notes: tuple[str, ...] = ()


def plan_colors(image: Image.Image) -> ColorPlan:
    """For a loaded image. A profile that is damaged, or made for other colours, is ignored."""
    if image.mode == "F" or image.mode.startswith("I"):
        levels, notes = _measured_levels(image)
        return ColorPlan("L", levels=levels, notes=notes)
    base = "CMYK" if image.mode == "CMYK" else "L" if image.mode in _GRAY else "RGB"
    profile = image.info.get("icc_profile")
    notes = ()
    if profile and image.mode != "LAB":
        try:
            base, transform = _transform(profile, base)
            return ColorPlan(base, transform)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, LookupError):
            notes = ("its colour profile is damaged or not for its kind of colours: ignored",)
    if base == "CMYK":
        notes += ("CMYK without a colour profile: the colours are approximate",)
    return ColorPlan(base, notes=notes)


def to_rgb(strip: Image.Image, plan: ColorPlan) -> tuple[Image.Image, bool]:
    """A strip in RGB laid on white, and whether any of it was transparent."""
    if plan.levels is not None:
        return Image.fromarray(_scaled(np.asarray(strip), plan.levels)).convert("RGB"), False
    alpha = None
    if strip.has_transparency_data:
        if strip.mode == "La":
            strip = strip.convert("LA")
        seen = strip.convert("RGBA")
        alpha = seen.getchannel("A")
        if alpha.getextrema() == (255, 255):
            alpha = None
        strip = seen.convert("RGB")
    color = strip.convert("RGB") if plan.transform is None else _transformed(strip, plan)
    if alpha is None:
        return color, False
    return Image.composite(color, Image.new("RGB", color.size, "white"), alpha), True


def strips(image: Image.Image, multiple: int) -> Iterator[tuple[int, Image.Image]]:
    """Its rows from top to bottom, so many at a time: (first row, strip).

    The first row is always a multiple of `multiple`.
    """
    rows = max(1, _STRIP_PIXELS // (image.width * multiple)) * multiple
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def choose_levels(
    sample: Num[np.ndarray, " n"], low: float, high: float, *, integer: bool
) -> tuple[Levels, str]:
    """Black and white for values from `low` to `high`, and how to say it.

    Integers are 16-bit values where they fit; if none exceeds a sixteenth of that range, as with
    12-bit sensors, the largest is white. Real numbers are taken as 0 to 1 or as 0 to 255 where
    they fit; otherwise the half percent at either end is clipped.
    """
    if integer:
        if low < 0 or high > _SIXTEEN_BITS:
            return Levels(low, high), f"32-bit gray: {low:.0f} is black, {high:.0f} is white"
        if high > _SIXTEEN_BITS // 16 or high == 0:
            return Levels(0, _SIXTEEN_BITS), f"16-bit gray: {_SIXTEEN_BITS} is white"
        return Levels(0, high), f"16-bit gray that is used up to {high:.0f}: that is white"
    if low >= 0 and high <= 1:
        return Levels(0, 1), "real numbers from 0 to 1: 1 is white"
    if low >= 0 and 128 <= high <= 255:
        return Levels(0, 255), "real numbers up to 255: 255 is white"
    black, white = (float(v) for v in np.percentile(sample, (_TAIL, 100 - _TAIL)))
    return Levels(black, white), f"real numbers: {black:.4g} is black, {white:.4g} is white"


def _measured_levels(image: Image.Image) -> tuple[Levels, tuple[str, ...]]:
    step = max(1, round(math.sqrt(image.width * image.height / _SAMPLES)))
    low, high, missing = math.inf, -math.inf, 0
    sample = []
    for _, strip in strips(image, step):
        values = np.asarray(strip)
        if image.mode == "F":
            missing += int(np.isnan(values).sum())
        some = values[::step, ::step]
        sample.append(some[np.isfinite(some)])
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    notes = (f"{missing} values that are not numbers are black",) if missing else ()
    if low > high:
        return Levels(0, 1), (*notes, "none of its values is a finite number")
    levels, note = choose_levels(np.concatenate(sample), low, high, integer=image.mode != "F")
    return levels, (note, *notes)


def _scaled(values: Num[np.ndarray, "h w"], levels: Levels) -> np.ndarray:
    span = max(levels.white - levels.black, 1e-30)
    share = (values.astype(np.float64) - levels.black) / span
    return np.rint(np.nan_to_num(share, nan=0.0).clip(0, 1) * 255).astype(np.uint8)


def _transform(profile: bytes, base: str) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """To sRGB, and the mode it starts from; None where the profile is sRGB already."""
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    wanted = _MODE_OF_SPACE[opened.profile.xcolor_space.strip()]
    if wanted != base and (wanted, base) != ("RGB", "L"):
        raise ValueError(f"a profile for {wanted} in a picture of {base}")
    name = (opened.profile.profile_description or "").lower()
    if name == "srgb" or name.startswith(("srgb iec61966", "srgb built-in")):
        return wanted, None
    srgb = ImageCms.createProfile("sRGB")
    return wanted, ImageCms.buildTransform(opened, srgb, wanted, "RGB")


def _transformed(strip: Image.Image, plan: ColorPlan) -> Image.Image:
    assert plan.transform is not None
    color = ImageCms.applyTransform(strip.convert(plan.base), plan.transform)
    assert color is not None  # which it only is for inPlace
    return color
