"""Statistics of a dataset as one HTML page: inline SVG, no scripts, light and dark."""

from __future__ import annotations

from html import escape

from trajectories.html_page import html_cards, html_figures, html_page, html_table
from trajectories.report import bin_labels, headline, mean_and_median, readable_bytes
from trajectories.summary import DatasetStatistics, Histogram

_WIDTH, _HEIGHT = 460, 220  # of a plot, SVG units
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 12, 40


def stats_html(stats: DatasetStatistics) -> str:
    """A self-contained page with the counts, a plot per histogram, and the failures."""
    name = stats.root.rstrip("/").rpartition("/")[2] or stats.root
    plots = "\n".join(_card(h) for h in stats.histograms if h.total)
    sizes = [(table, readable_bytes(size)) for table, size in stats.table_bytes.items()]
    tables = [html_table("Files", ("table", "size"), sizes)] if sizes else []
    if stats.failures_by:
        rows = [(f"{stage}: {error}", f"{n:,}") for (stage, error), n in stats.failures_by.items()]
        tables.insert(0, html_table("Failures", ("stage and error", "number"), rows))
    body = f"{html_figures(headline(stats))}\n{html_cards([plots, *tables])}"
    subtitle = f"{stats.root} · schema version {stats.schema_version}"
    return html_page(name, f"{name}: trajectories", subtitle, body)


def _card(histogram: Histogram) -> str:
    return (
        f"<section>\n<h2>{escape(histogram.title)}</h2>\n"
        f'<p class="soft">{escape(mean_and_median(histogram))}</p>\n{_plot(histogram)}\n</section>'
    )


def _plot(histogram: Histogram) -> str:
    """Bars of the share of all values in each bin, with the exact count on hover."""
    total, bins = histogram.total, len(histogram.counts)
    shares = [count / total for count in histogram.counts]
    top = _scale_top(max(shares))
    slot = (_WIDTH - _LEFT - _RIGHT) / bins
    floor, room = _HEIGHT - _BOTTOM, _HEIGHT - _TOP - _BOTTOM
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    parts.append(f"<title>{escape(histogram.title)}</title>")
    for step in range(5):
        y = floor - room * step / 4
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * step / 4:.3g}%</text>'
        )
    unit = f" {histogram.unit}" if histogram.unit else ""
    for i, (share, label) in enumerate(zip(shares, bin_labels(histogram), strict=True)):
        height = room * share * 100 / top
        parts.append(
            f'<rect class="bar" x="{_LEFT + slot * i + 1:.1f}" y="{floor - height:.1f}" '
            f'width="{slot - 2:.1f}" height="{height:.1f}">'
            f"<title>{escape(label + unit)}: {histogram.counts[i]:,} ({share:.1%})</title></rect>"
        )
    last = "∞" if histogram.open_ended else f"{histogram.edges[-1]:,.10g}"
    texts = [*(f"{edge:,.10g}" for edge in histogram.edges[:-1]), last]
    every = max(1, -(-max(len(text) for text in texts) * 8 // max(int(slot), 1)))
    for i in sorted({*range(0, bins, every), bins}):
        if i == bins or bins - i >= every:
            parts.append(
                f'<text x="{_LEFT + slot * i:.1f}" y="{floor + 16}" text-anchor="middle">'
                f"{texts[i]}</text>"
            )
    if histogram.unit:
        parts.append(
            f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 6}" '
            f'text-anchor="middle">{escape(histogram.unit)}</text>'
        )
    return "\n".join([*parts, "</svg>"])


def _scale_top(share: float) -> float:
    """Upper end of the axis in percent: round, and divided well by 4."""
    percent = share * 100
    tops = (0.4, 1, 2, 4, 8, 10, 20, 40, 60, 80)
    return next((float(top) for top in tops if top >= percent), 100.0)
