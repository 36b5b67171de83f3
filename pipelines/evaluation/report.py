"""Scores as lines of text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

from pipelines.evaluation.benchmark import Metrics, average
from pipelines.evaluation.breakdown import FACTORS, Part, parts, pool
from pipelines.evaluation.comparison import Mean, Row
from pipelines.evaluation.consistency import Consistency
from pipelines.evaluation.tapvid import THRESHOLDS, QueryMode, TapVidMetrics

_LABEL, _METHOD, _CELL = 44, 16, 7
_GROUP = 3 * _CELL
_THRESHOLDS = [f"{threshold:g}" for threshold in THRESHOLDS]


def header() -> str:
    """Titles over the lines of `row_line` and `mean_line`."""
    return _line("clip", "method", ["AJ", "δ avg", "OA", *(f"δ {t}px" for t in _THRESHOLDS)])


def row_line(row: Row) -> str:
    """One method on one clip, in percent; "-" where there is nothing to score."""
    return _line(f"{row.data} {row.clip} {row.mode}", row.method, _percents(row.metrics))


def mean_line(mean: Mean) -> str:
    """A mean over clips or sets, in percent."""
    what = "mean over sets" if mean.data is None else f"{mean.data}, mean"
    label = f"{what} {mean.mode} ({mean.metrics.num_clips} clips)"
    return _line(label, mean.method, _percents(mean.metrics))


def breakdown_lines(rows: Sequence[Row]) -> Iterator[str]:
    """For every mode a table by each factor and by refinement, the methods side by side."""
    for mode in dict.fromkeys(row.mode for row in rows):
        groups = {method: own for (method, m), own in _groups(rows).items() if m == mode}
        tables = {method: _parts(own) for method, own in groups.items()}
        for index, factor in enumerate(FACTORS):
            yield from _titles(f"{mode}: {factor.title}", "points", groups)
            # Ranges and numbers of points are the truth's: the same for every method.
            for columns in zip(*(table[index] for table in tables.values()), strict=True):
                cells = [_percents(_of(part.scores))[:3] for part in columns]
                yield _line(
                    _range(columns[0]), f"{columns[0].num_points}", list(chain.from_iterable(cells))
                )
        steps = {method: _by_iteration(own) for method, own in groups.items()}
        refining = {method: found for method, found in steps.items() if found}
        if refining:
            yield from _titles(f"{mode}: refinement", "clips", refining)
        for step in range(max(map(len, refining.values()), default=0)):
            own = [found[step] if step < len(found) else None for found in refining.values()]
            cells = [_percents(found)[:3] if found else [""] * 3 for found in own]
            count = next(found.num_clips for found in own if found)
            label = f"after iteration {step}" if step else "initialisation"
            yield _line(label, f"{count}", list(chain.from_iterable(cells)))


def as_json(rows: Sequence[Row], averages: Sequence[Mean]) -> dict[str, Any]:
    """All figures in [0, 1], None where there is nothing to score."""
    result: dict[str, Any] = {
        "clips": [
            {
                **{"data": row.data, "clip": row.clip, "mode": row.mode, "method": row.method},
                "queries": row.num_queries,
                **_figures(row.metrics),
            }
            for row in rows
        ],
        "means": [
            {
                **{"data": mean.data, "mode": mean.mode, "method": mean.method},
                "clips": mean.metrics.num_clips,
                **_figures(mean.metrics),
            }
            for mean in averages
        ],
    }
    if all(row.points is not None for row in rows):
        result["breakdown"] = [
            {
                **{"mode": mode, "method": method},
                "iterations": [_figures(metrics) for metrics in _by_iteration(own)],
                **{
                    factor.name: [_part_json(part) for part in found]
                    for factor, found in zip(FACTORS, _parts(own), strict=True)
                },
            }
            for (method, mode), own in _groups(rows).items()
        ]
    return result


def consistency_header() -> str:
    """Titles over `consistency_line`."""
    return _line("clip", "method", ["back", "<4px %", "jitter", "seen %"])


def consistency_line(clip: str, method: str, figures: Consistency) -> str:
    """One method on one clip."""
    cells = (
        (figures.return_error, "{:.2f}", 1),
        (figures.returned, "{:.1f}", 100),
        (figures.jitter, "{:.3f}", 1),
        (figures.visible, "{:.1f}", 100),
    )
    texts = [form.format(scale * v) if math.isfinite(v) else "-" for v, form, scale in cells]
    return _line(clip, method, texts)


def consistency_json(
    clips: Mapping[str, Mapping[str, Consistency]], averages: Mapping[str, Consistency]
) -> dict[str, Any]:
    """Figures by method and clip; None where no point is followed far enough."""

    def plain(figures: Consistency) -> dict[str, float | None]:
        return {name: finite(value) for name, value in asdict(figures).items()}

    return {
        "clips": {
            method: {clip: plain(figures) for clip, figures in own.items()}
            for method, own in clips.items()
        },
        "means": {method: plain(figures) for method, figures in averages.items()},
    }


def finite(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


def _groups(rows: Sequence[Row]) -> dict[tuple[str, QueryMode], list[Row]]:
    found: dict[tuple[str, QueryMode], list[Row]] = {}
    for row in rows:
        found.setdefault((row.method, row.mode), []).append(row)
    return found


def _parts(rows: Sequence[Row]) -> list[list[Part]]:
    """For each factor its ranges, over the points of all rows."""
    points = pool([row.points for row in rows if row.points is not None])
    return [parts(points, factor) for factor in FACTORS]


def _by_iteration(rows: Sequence[Row]) -> list[Metrics]:
    count = min(len(row.iterates) for row in rows)
    return [average([row.iterates[index] for row in rows]) for index in range(count)]


def _part_json(part: Part) -> dict[str, Any]:
    bounds = {"above": finite(part.above), "up_to": finite(part.up_to)}
    return {**bounds, "points": part.num_points, **_figures(_of(part.scores))}


def _of(scores: TapVidMetrics) -> Metrics:
    """Of scores without axes."""
    return average(
        [
            TapVidMetrics(
                scores.occlusion_accuracy[None], scores.pts_within[None], scores.jaccard[None]
            )
        ]
    )


def _figures(metrics: Metrics) -> dict[str, Any]:
    return {
        "average_jaccard": finite(metrics.average_jaccard),
        "average_pts_within": finite(metrics.average_pts_within),
        "occlusion_accuracy": finite(metrics.occlusion_accuracy),
        "jaccard": dict(zip(_THRESHOLDS, map(finite, metrics.jaccard), strict=True)),
        "pts_within": dict(zip(_THRESHOLDS, map(finite, metrics.pts_within), strict=True)),
    }


def _percents(metrics: Metrics) -> list[str]:
    values = (
        metrics.average_jaccard,
        metrics.average_pts_within,
        metrics.occlusion_accuracy,
        *metrics.pts_within,
    )
    return [f"{100 * value:.1f}" if math.isfinite(value) else "-" for value in values]


def _range(part: Part) -> str:
    if not math.isfinite(part.above):
        return f"up to {part.up_to:g}"
    return f"above {part.above:g}" + (f" to {part.up_to:g}" if math.isfinite(part.up_to) else "")


def _titles(title: str, counted: str, methods: Iterable[str]) -> Iterator[str]:
    """Two lines: the methods over their three columns."""
    names = list(methods)
    groups = "".join(f"{name[-_GROUP + 2 :]:>{_GROUP}}" for name in names)
    yield f"\n{title:<{_LABEL}} {'':<{_METHOD}}{groups}"
    yield _line("", counted, ["AJ", "δ avg", "OA"] * len(names))


def _line(label: str, method: str, cells: Sequence[str]) -> str:
    return f"{label:<{_LABEL}} {method:<{_METHOD}}" + "".join(f"{cell:>{_CELL}}" for cell in cells)
