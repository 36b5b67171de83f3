"""Contact sheets: pictures with captions on one page, and saving them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipelines.render.tracks import draw_tracks
from pipelines.render.trails import draw_trails

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

_PAPER = (24, 26, 30)
_BED = (14, 15, 18)
_INK = (222, 225, 230)
_MARGIN = 16
_GAP = 10
_CAPTION = 14  # text size, pixels
_TITLE = 19


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet: RGB uint8 [H, W, 3], and one or more lines of text below it."""

    image: UInt8[np.ndarray, "h w 3"]
    caption: str = ""


def contact_sheet(
    rows: Sequence[Sequence[Panel]], *, title: str = "", panel_size: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Lay out rows of panels on a dark page, every panel in a box of the same size.

    Args:
        rows: panels from left to right; rows may differ in length.
        title: line above all rows; left out when empty.
        panel_size: (width, height) of the boxes. None: those of the largest panel. Pictures are
            fitted into them without change of proportion; a caption is cut to the box's width.

    Raises:
        ValueError: no panels, or a picture that is not uint8 RGB.
    """
    panels = [panel for row in rows for panel in row]
    if not panels:
        raise ValueError("a contact sheet needs at least one panel")
    for panel in panels:
        image = panel.image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(
                f"panel '{panel.caption}' must be uint8 RGB, not {image.dtype} {list(image.shape)}"
            )
    if panel_size is None:
        box_width = max(panel.image.shape[1] for panel in panels)
        box_height = max(panel.image.shape[0] for panel in panels)
    else:
        box_width, box_height = panel_size
    caption_font, title_font = ImageFont.load_default(_CAPTION), ImageFont.load_default(_TITLE)
    line_height = _CAPTION + 5
    heights = [
        box_height + line_height * max((_lines(p.caption) for p in row), default=0) for row in rows
    ]
    columns = max(len(row) for row in rows)
    top = _MARGIN + (_TITLE + _GAP + 4 if title else 0)
    width = 2 * _MARGIN + columns * box_width + (columns - 1) * _GAP
    height = top + sum(heights) + _GAP * (len(rows) - 1) + _MARGIN

    page = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(page)
    if title:
        text = _cut(title, title_font, width - 2 * _MARGIN)
        pen.text((_MARGIN, _MARGIN - 3), text, font=title_font, fill=_INK)
    y = top
    for row, row_height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            x = _MARGIN + column * (box_width + _GAP)
            pen.rectangle((x, y, x + box_width - 1, y + box_height - 1), fill=_BED)
            picture = _fit(panel.image, box_width, box_height)
            corner_x = x + (box_width - picture.shape[1]) // 2
            corner_y = y + (box_height - picture.shape[0]) // 2
            page.paste(Image.fromarray(picture), (corner_x, corner_y))
            for number, line in enumerate(panel.caption.splitlines()):
                text = _cut(line, caption_font, box_width)
                place = (x, y + box_height + 3 + number * line_height)
                pen.text(place, text, font=caption_font, fill=_INK)
        y += row_height + _GAP
    return np.asarray(page)


def grid_sheet(
    panels: Sequence[Panel],
    *,
    columns: int = 5,
    title: str = "",
    panel_size: tuple[int, int] = (256, 256),
) -> UInt8[np.ndarray, "h w 3"]:
    """Many clips on one page, row by row, `columns` to a row."""
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    columns = min(columns, max(1, len(panels)))
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    return contact_sheet(rows, title=title, panel_size=panel_size)


def clip_panels(
    video: UInt8[np.ndarray, "t h w 3"],
    tracks: Float[np.ndarray, "n t 2"],
    visible: Bool[np.ndarray, "n t"],
    *,
    max_tracks: int | None = 400,
    scale: float | None = None,
    starts: Float[np.ndarray, "n 2"] | None = None,
) -> list[Panel]:
    """First, middle and last frame with tracks, and the trails: one row of a contact sheet.

    Short clips give fewer frames: each is shown once. Arguments as in `draw_tracks`.
    """
    count = len(video)
    moments = sorted({0, count // 2, count - 1}) if count else []
    drawn = draw_tracks(
        video,
        tracks,
        visible,
        max_tracks=max_tracks,
        scale=scale,
        starts=starts,
        frames=moments,
    )
    panels = [
        Panel(image, f"frame {t} of 0-{count - 1}") for t, image in zip(moments, drawn, strict=True)
    ]
    trails = draw_trails(video, tracks, visible, max_tracks=max_tracks, scale=scale, starts=starts)
    return [*panels, Panel(trails, "all frames, dark to bright")]


def save_image(path: str | os.PathLike[str], image: UInt8[np.ndarray, "h w 3"]) -> Path:
    """Write an RGB picture as PNG, JPEG or WebP, by suffix.

    The file appears under its name only when complete; a failed write leaves nothing behind.

    Raises:
        ValueError: suffix that is not one of `IMAGE_SUFFIXES`.
        OSError: the folder is missing, not writable or full.
    """
    target = Path(path)
    if target.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"{target}: pictures are written as {', '.join(IMAGE_SUFFIXES)}")
    # The suffix stays last: Pillow chooses the format by it.
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}")
    try:
        Image.fromarray(image).save(temporary, **_save_options(target.suffix.lower()))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _save_options(suffix: str) -> dict[str, Any]:
    # 4:4:4 chroma: thin coloured lines smear otherwise.
    return {".png": {}, ".webp": {"quality": 92}}.get(suffix, {"quality": 92, "subsampling": 0})


def _lines(caption: str) -> int:
    return len(caption.splitlines())


def _cut(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


def _fit(image: UInt8[np.ndarray, "h w 3"], width: int, height: int) -> UInt8[np.ndarray, "a b 3"]:
    factor = min(width / image.shape[1], height / image.shape[0])
    if factor == 1:
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
