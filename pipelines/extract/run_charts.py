"""SVG of a run: rates over time, and shares of the trackers' time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from pipelines.extract.progress import clock
from trajectories.summary import nice_edges

_WIDTH, _HEIGHT = 460, 200  # SVG units
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 12, 28
# One colour for each share, apart also for the colour-blind: tracking first, losses after it.
_COLORS = ("#2f6fb4", "#e69f00", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#7a8794", "#a3adb7")

Stretch = tuple[float, float, float]  # begin and end in seconds, mean rate


def rate_chart(
    title: str, unit: str, stretches: Sequence[Stretch], top: float | None = None
) -> str:
    """A section with a rate over the seconds of a run; nothing where there are no stretches.

    top: upper end of the axis; None: a round number above the largest rate.
    """
    if not stretches:
        return ""
    first, last = stretches[0][0], stretches[-1][1]
    largest = max(rate for _, _, rate in stretches)
    edges = nice_edges(0.0, top or max(largest, 1e-9), 4)
    ceiling = top or edges[-1]
    room_x, room_y = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    floor = _HEIGHT - _BOTTOM

    def x(seconds: float) -> float:
        return _LEFT + room_x * (seconds - first) / (last - first)

    def y(rate: float) -> float:
        return floor - room_y * max(0.0, min(rate, ceiling)) / ceiling

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
    ]
    for edge in edges:
        if edge <= ceiling * (1 + 1e-9):
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(edge):.1f}" '
                f'y2="{y(edge):.1f}"/><text x="{_LEFT - 6}" y="{y(edge) + 4:.1f}" '
                f'text-anchor="end">{edge:,.10g}</text>'
            )
    points = " ".join(
        f"{x(when):.1f},{y(rate):.1f}" for begin, end, rate in stretches for when in (begin, end)
    )
    parts.append(
        f'<polygon class="area" points="{x(first):.1f},{floor} {points} {x(last):.1f},{floor}"/>'
        f'<polyline class="line" points="{points}"/>'
    )
    for begin, end, rate in stretches:
        words = f"{clock(begin)} to {clock(end)}: {rate:,.4g} {unit}"
        parts.append(
            f'<rect x="{x(begin):.1f}" y="{_TOP}" width="{x(end) - x(begin):.1f}" '
            f'height="{room_y}" fill="transparent"><title>{escape(words)}</title></rect>'
        )
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        when = first + share * (last - first)
        parts.append(
            f'<text x="{x(when):.1f}" y="{floor + 18}" text-anchor="{anchor}">{clock(when)}</text>'
        )
    mean = sum((end - begin) * rate for begin, end, rate in stretches) / (last - first)
    return (
        f"<section>\n<h2>{escape(title)}</h2>\n"
        f'<p class="soft">mean {mean:,.4g} {escape(unit)}</p>\n'
        + "\n".join(parts)
        + "</svg>\n</section>"
    )


def shares_chart(title: str, note: str, shares: Mapping[str, float]) -> str:
    """A section with one bar of parts and its key. Shares below 0 are listed, not drawn."""
    drawn = {name: share for name, share in shares.items() if share > 0}
    whole = sum(drawn.values())
    if not whole:
        return ""
    colors = dict(zip(shares, _COLORS, strict=False))
    left, parts, keys = 0.0, [], []
    for name, share in drawn.items():
        width = 1000 * share / whole
        parts.append(
            f'<rect class="part" x="{left:.1f}" y="0" width="{width:.1f}" height="34" '
            f'fill="{colors[name]}"><title>{escape(name)}: {share:.1%}</title></rect>'
        )
        left += width
    for name, share in shares.items():
        keys.append(
            f'<span style="white-space:nowrap;margin-right:1rem"><span class="key" '
            f'style="background:{colors[name]}"></span>{escape(name)} {share:.1%}</span> '
        )
    return (
        f'<section class="wide">\n<h2>{escape(title)}</h2>\n<p class="soft">{escape(note)}</p>\n'
        '<svg viewBox="0 0 1000 34" role="img" style="margin:.5rem 0">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>\n<div>{''.join(keys)}</div>\n</section>"
    )
