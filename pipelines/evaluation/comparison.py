"""Methods over sets of clips: the loop, and the means that are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pipelines.evaluation.benchmark import (
    Metrics,
    Tracks,
    TruthClip,
    average,
    average_sets,
    score_tracks,
)
from pipelines.evaluation.breakdown import Points, collect_points
from pipelines.evaluation.methods import Method
from pipelines.evaluation.sources import ClipSource
from pipelines.evaluation.tapvid import QueryMode, TapVidMetrics


@dataclass(frozen=True, eq=False)
class Row:
    """One method on one clip."""

    data: str
    clip: str
    mode: QueryMode
    method: str
    num_queries: int
    scores: TapVidMetrics  # of one clip: arrays [1] and [1, 5]
    points: Points | None = field(default=None, repr=False)  # where a breakdown is wanted
    iterates: tuple[TapVidMetrics, ...] = ()  # the initialisation, then each refinement

    @property
    def metrics(self) -> Metrics:
        return average([self.scores])


@dataclass(frozen=True)
class Mean:
    """One method on all clips of a set, or on all sets (`data` is None)."""

    data: str | None
    mode: QueryMode
    method: str
    metrics: Metrics


def compare(
    sources: Iterable[ClipSource],
    methods: Sequence[Method],
    modes: Sequence[QueryMode],
    *,
    breakdown: bool = False,
    clip_done: Callable[[], None] = lambda: None,
) -> Iterator[Row]:
    """Every method on every clip, clip by clip.

    Clips that have no queries in a mode are left out: truth on a few frames may have none on every
    fifth. Raises ValueError for a set where that leaves nothing.
    """
    for source in sources:
        empty = True
        for asked in source.clips(modes):
            for mode, clip in asked.items():
                for method in methods if len(clip.queries) else ():
                    empty = False
                    yield _row(source.name, clip, mode, method, breakdown)
            clip_done()
        if empty:
            raise ValueError(
                f"{source.name}: holds no clips with points to ask for in mode {' or '.join(modes)}"
            )


def means(rows: Sequence[Row]) -> list[Mean]:
    """Means over the clips of each set, then, where there are several sets, over the sets."""
    groups: dict[tuple[str, QueryMode, str], list[TapVidMetrics]] = {}
    for row in rows:
        groups.setdefault((row.data, row.mode, row.method), []).append(row.scores)
    found = [Mean(*key, average(scores)) for key, scores in groups.items()]
    if len({mean.data for mean in found}) < 2:
        return found
    across: dict[tuple[QueryMode, str], list[Metrics]] = {}
    for mean in found:
        across.setdefault((mean.mode, mean.method), []).append(mean.metrics)
    return found + [Mean(None, *key, average_sets(sets)) for key, sets in across.items()]


def _row(data: str, clip: TruthClip, mode: QueryMode, method: Method, breakdown: bool) -> Row:
    steps: list[Tracks] = []
    if breakdown and method.iterates is not None:
        found, steps = method.iterates(clip.video, clip.queries)
    else:
        found = method.track(clip.video, clip.queries)
    return Row(
        data,
        clip.name,
        mode,
        method.name,
        len(clip.queries),
        score_tracks(clip, found, mode),
        collect_points(clip, found, mode) if breakdown else None,
        tuple(score_tracks(clip, step, mode) for step in steps),
    )
