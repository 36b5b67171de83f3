"""Statistics of a dataset as one HTML page: inline SVG, no scripts, light and dark."""

from __future__ import annotations

from html import escape

from trajectories.report import bin_labels, headline, mean_and_median, readable_bytes
from trajectories.summary import DatasetStatistics, Histogram

_WIDTH, _HEIGHT = 460, 220  # of a plot, SVG units
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 12, 40

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6875; --line: #d9dfe5;
        --page: #f6f8fa; --card: #ffffff; --bar: #2f6fb4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #36414c;
          --page: #12171c; --card: #1b2229; --bar: #66a3e0; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem; background: var(--page); color: var(--ink);
       font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1020px; margin: 0 auto; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1rem; margin: 0; }
p.soft, .soft { color: var(--soft); margin: 0; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr));
           gap: .6rem; margin: 1.2rem 0; padding: 0; }
.figures div, section { background: var(--card); border: 1px solid var(--line);
                        border-radius: 8px; padding: .7rem .9rem; }
.figures dt { color: var(--soft); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr));
         gap: .8rem; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--line); }
svg .bar { fill: var(--bar); }
svg .bar:hover { opacity: .75; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; }
tr:last-child td { border-bottom: 0; }
""".strip()


def stats_html(stats: DatasetStatistics) -> str:
    """A self-contained page with the counts, a plot per histogram, and the failures."""
    name = escape(stats.root.rstrip("/").rpartition("/")[2] or stats.root)
    figures = "\n".join(
        f"<div><dt>{escape(title)}</dt><dd>{escape(value)}</dd></div>"
        for title, value in headline(stats)
    )
    plots = "\n".join(_card(h) for h in stats.histograms if h.total)
    sizes = [(table, readable_bytes(size)) for table, size in stats.table_bytes.items()]
    tables = [_table("Files", ("table", "size"), sizes)] if sizes else []
    if stats.failures_by:
        rows = [(f"{stage}: {error}", f"{n:,}") for (stage, error), n in stats.failures_by.items()]
        tables.insert(0, _table("Failures", ("stage and error", "number"), rows))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: trajectories</title>
<style>
{_STYLE}
</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p class="soft">{escape(stats.root)} · schema version {stats.schema_version}</p>
<dl class="figures">
{figures}
</dl>
<div class="plots">
{plots}
{"".join(tables)}
</div>
</main>
</body>
</html>
"""


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


def _table(title: str, heads: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    body = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{escape(value)}</td></tr>'
        for name, value in rows
    )
    head = f'<tr><th>{heads[0]}</th><th class="number">{heads[1]}</th></tr>'
    return f"<section>\n<h2>{title}</h2>\n<table>{head}{body}</table>\n</section>\n"
