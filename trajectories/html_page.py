"""Self-contained HTML pages: one style, no scripts, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

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
td { overflow-wrap: anywhere; vertical-align: top; }
td.number, th { overflow-wrap: normal; }
section { min-width: 0; }
.wide { grid-column: 1 / -1; }
.plots + .plots, .plots + section, section + .plots { margin-top: .8rem; }
svg .line { fill: none; stroke: var(--bar); stroke-width: 1.5; stroke-linejoin: round; }
svg .area { fill: var(--bar); opacity: .15; }
svg .part { stroke: var(--card); stroke-width: 1; }
.key { display: inline-block; width: .7rem; height: .7rem; border-radius: 2px;
       margin: 0 .35rem 0 0; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
            gap: .6rem; margin-top: .5rem; }
.pictures figure { margin: 0; }
.pictures img { width: 100%; height: auto; border-radius: 6px; display: block; }
.pictures figcaption { color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
""".strip()


def html_page(name: str, title: str, subtitle: str, body: str) -> str:
    """A whole page. name: its heading, title: of the window, body: HTML, the others text."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<main>
<h1>{escape(name)}</h1>
<p class="soft">{escape(subtitle)}</p>
{body}
</main>
</body>
</html>
"""


def html_figures(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values, side by side."""
    figures = "\n".join(
        f"<div><dt>{escape(title)}</dt><dd>{escape(value)}</dd></div>" for title, value in pairs
    )
    return f'<dl class="figures">\n{figures}\n</dl>'


def html_cards(cards: Iterable[str]) -> str:
    """Sections in columns, as many as fit."""
    return '<div class="plots">\n' + "\n".join(cards) + "\n</div>"


def html_table(
    title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 1
) -> str:
    """A section with a table; its last `numbers` columns are set as numbers."""
    first = len(heads) - numbers

    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="number">{escape(cell)}</{tag}>'
            if i >= first
            else f"<{tag}>{escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    head = f"<tr>{row(heads, 'th')}</tr>"
    return f"<section>\n<h2>{escape(title)}</h2>\n<table>{head}{body}</table>\n</section>\n"
