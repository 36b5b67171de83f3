"""Points and files as they are written on the command line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from models.animation.controls import Drag, Pin

VIDEO_SUFFIXES = (".mp4", ".gif")


class DragType(click.ParamType):
    """ "x0,y0:x1,y1"."""

    name = "x0,y0:x1,y1"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, Drag):
            return value
        start, colon, end = str(value).partition(":")
        first, second = _point(start), _point(end)
        if not colon or first is None or second is None:
            self.fail(f"{value!r} is no drag: write it as 120,80:180,60", param, ctx)
        return Drag(*first, *second)


class PinType(click.ParamType):
    """ "x,y"."""

    name = "x,y"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, Pin):
            return value
        point = _point(str(value))
        if point is None:
            self.fail(f"{value!r} is no point: write it as 40,200", param, ctx)
        return Pin(*point)


def _point(text: str) -> tuple[float, float] | None:
    parts = text.split(",")
    if len(parts) != 2:
        return None
    try:
        x, y = float(parts[0]), float(parts[1])
    except ValueError:
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def output_path(image: str, output: str | None, overwrite: bool) -> Path:
    """Where the video goes: beside the photo unless it is said where.

    Raises UsageError or ClickException where it cannot or should not be written.
    """
    path = Path(image).with_suffix(".mp4") if output is None else Path(output)
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise click.UsageError(f"{path}: give -o a name that ends in .mp4 or .gif")
    if output is None and path.exists() and not overwrite:
        raise click.ClickException(f"{path} is there already: give -o another name, or --overwrite")
    return path


def numbered(path: Path, number: int, count: int) -> Path:
    """The file of one of several samples: name-1.mp4, name-2.mp4 …"""
    return path if count == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
