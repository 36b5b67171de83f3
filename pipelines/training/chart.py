"""Line charts under each other over one horizontal axis, drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    *((31, 105, 180), (222, 110, 20), (36, 140, 70), (170, 50, 60)),
    *((120, 80, 170), (110, 85, 60), (200, 90, 160), (90, 95, 100)),
)
_PAPER, _INK, _GRID = (255, 255, 255), (45, 48, 54), (226, 228, 232)
_ZOOM = 2  # drawn larger, then shrunk: smooth lines
_WIDTH, _LEFT, _RIGHT, _TOP, _GAP, _BOTTOM = 1080, 70, 26, 14, 40, 48
_TEXT, _TITLE = 13, 15
_MOST_POINTS = 2400  # of a line; more than the picture has columns


@dataclass(frozen=True)
class Series:
    """A line; points that are not finite are left out."""

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    colour: Colour
    label: str = ""
    faint: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines in the same axes. On a logarithmic axis only positive values are drawn."""

    title: str
    series: Sequence[Series]
    logarithmic: bool = False
    height: int = 200


def draw_charts(
    charts: Sequence[Chart], x_title: str, marks: Sequence[tuple[float, str]] = ()
) -> UInt8[np.ndarray, "h w 3"]:
    """RGB picture; `marks` are places on the horizontal axis with a name.

    Raises ValueError where there is nothing to draw.
    """
    charts = [chart for chart in charts if chart.series]
    if not charts:
        raise ValueError("there is nothing to draw")
    height = _TOP + sum(chart.height + _GAP for chart in charts) + _BOTTOM
    page = Image.new("RGB", (_WIDTH * _ZOOM, height * _ZOOM), _PAPER)
    pen = ImageDraw.Draw(page)
    ends = [series.x for chart in charts for series in chart.series if len(series.x)]
    low, high = min(x.min() for x in ends), max(x.max() for x in ends)
    if low == high:
        low, high = low - 1, high + 1
    top = _TOP
    for chart in charts:
        box = (_LEFT, top + _GAP - 12, _WIDTH - _RIGHT, top + _GAP - 12 + chart.height)
        _draw(pen, chart, box, (low, high), marks)
        top += chart.height + _GAP
    for tick in linear_ticks(low, high, 9):
        x = _LEFT + (tick - low) / (high - low) * (_WIDTH - _RIGHT - _LEFT)
        _text(pen, (x, top - 4), f"{tick:,.0f}", "ma")
    _text(pen, ((_LEFT + _WIDTH - _RIGHT) / 2, top + 16), x_title, "ma")
    return np.asarray(page.reduce(_ZOOM))


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """At most so many round numbers from `low` to `high`, equally far apart."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from `low` to `high`; powers alone over many decades."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(decades) > 5 else (1, 2, 5)
    ticks = [factor * 10.0**decade for decade in decades for factor in factors]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def _draw(
    pen: ImageDraw.ImageDraw,
    chart: Chart,
    box: tuple[int, int, int, int],
    span: tuple[float, float],
    marks: Sequence[tuple[float, str]],
) -> None:
    left, top, right, bottom = box
    low, high = _range(chart)
    ticks = (
        log_ticks(low, high)
        if chart.logarithmic
        else linear_ticks(low, high, max(2, chart.height // 32))
    )

    def down(y: np.ndarray) -> np.ndarray:
        if chart.logarithmic:
            share = (np.log(y) - math.log(low)) / (math.log(high) - math.log(low))
        else:
            share = (y - low) / (high - low)
        return bottom - np.clip(share, 0, 1) * (bottom - top)

    def across(x: np.ndarray) -> np.ndarray:
        return left + (x - span[0]) / (span[1] - span[0]) * (right - left)

    for tick in ticks:
        y = float(down(np.array(tick)))
        _line(pen, [(left, y), (right, y)], _GRID, 1)
        _text(pen, (left - 8, y), f"{tick:.3g}", "rm")
    for place, name in marks:
        x = float(across(np.array(place)))
        _line(pen, [(x, top), (x, bottom)], (150, 154, 160), 1)
        _text(pen, (x + 5, bottom - 5), name, "lb", (120, 124, 130))
    for series in sorted(chart.series, key=lambda series: not series.faint):
        kept = np.isfinite(series.y) & ((series.y > 0) | (not chart.logarithmic))
        every = max(1, int(kept.sum()) // _MOST_POINTS)
        xs, ys = across(series.x[kept][::every]), down(series.y[kept][::every])
        points = list(zip(xs.tolist(), ys.tolist(), strict=True))
        colour = tuple(255 - (255 - part) // 4 for part in series.colour)
        _line(pen, points, colour if series.faint else series.colour, 1 if series.faint else 2)
        if not series.faint and len(points) <= 60:
            for x0, y0 in points:
                _dot(pen, x0, y0, series.colour)
    _line(pen, [(left, top), (left, bottom), (right, bottom)], _INK, 1)
    _text(pen, (left, top - 6), chart.title, "lb", size=_TITLE)
    _legend(pen, chart, right, top - 6)


def _legend(pen: ImageDraw.ImageDraw, chart: Chart, right: int, base: int) -> None:
    """From the right: each label with its line's colour and last value."""
    font = ImageFont.load_default(_TEXT * _ZOOM)
    for series in reversed([series for series in chart.series if series.label]):
        known = series.y[np.isfinite(series.y)]
        text = f"{series.label}  {known[-1]:.3g}" if len(known) else series.label
        width = pen.textlength(text, font=font) / _ZOOM
        _text(pen, (right, base), text, "rb")
        _line(
            pen, [(right - width - 24, base - 5), (right - width - 6, base - 5)], series.colour, 3
        )
        right -= int(width) + 42


def _range(chart: Chart) -> tuple[float, float]:
    """What the lines cover, without the extremes of faint ones, and a margin."""
    firm = [series for series in chart.series if not series.faint] or chart.series
    values = np.concatenate([series.y for series in firm])
    for series in chart.series:
        if series.faint and np.isfinite(series.y).any():
            values = np.append(values, np.nanpercentile(series.y, [2, 98]))
    values = values[np.isfinite(values)]
    if chart.logarithmic:
        values = values[values > 0]
    if not len(values):
        return (0.1, 1.0) if chart.logarithmic else (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if chart.logarithmic:
        return (low / 1.1, high * 1.1)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return (low - margin if low < 0 or low > 0.3 * high else 0.0), high + margin


def _line(
    pen: ImageDraw.ImageDraw,
    points: Sequence[tuple[float, float]],
    colour: tuple[int, ...],
    width: int,
) -> None:
    if len(points) > 1:
        scaled = [(x * _ZOOM, y * _ZOOM) for x, y in points]
        pen.line(scaled, fill=colour, width=width * _ZOOM, joint="curve")


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float, colour: Colour) -> None:
    corners = [(value + side) * _ZOOM for side in (-3, 3) for value in (x, y)]
    pen.ellipse(corners, fill=colour)


def _text(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    anchor: str,
    colour: Colour = _INK,
    size: int = _TEXT,
) -> None:
    font = ImageFont.load_default(size * _ZOOM)
    pen.text((place[0] * _ZOOM, place[1] * _ZOOM), text, fill=colour, font=font, anchor=anchor)
