"""Statistics of a whole dataset: counts, histograms, failures by class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trajectories.results import fetch_result

if TYPE_CHECKING:
    from trajectories.dataset import Dataset

_BINS = 12
_EXACT_ROWS = 5_000_000  # beyond, quantiles are estimated: exact ones hold a whole column in memory


@dataclass(frozen=True)
class Histogram:
    """Counts between edges: bin i holds edges[i] <= value < edges[i + 1].

    The last bin also holds its upper edge and, where `open_ended`, everything above.
    """

    title: str
    unit: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    open_ended: bool
    mean: float
    median: float

    @property
    def total(self) -> int:
        """Number of values."""
        return sum(self.counts)


@dataclass(frozen=True)
class DatasetStatistics:
    """What `tapirus stats` shows.

    seconds: length of all clips together. failures_by: (stage, error) → number, most frequent
    first. table_bytes: table → size of its files.
    """

    root: str
    tracker: str
    schema_version: int
    sources: int
    clips: int
    tracks: int
    points: int
    seconds: float
    failures: int
    table_bytes: dict[str, int]
    moving_fraction: float
    histograms: tuple[Histogram, ...]
    failures_by: dict[tuple[str, str], int]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(self.table_bytes.values())


def dataset_statistics(dataset: Dataset) -> DatasetStatistics:
    """Counts and histograms of a dataset, from its scalar columns. Raises DatasetError."""
    receipts = dataset.shards.values()
    clips = _rows(
        dataset,
        """SELECT coalesce(sum(end_s - start_s), 0.0)::DOUBLE,
                  coalesce(sum(num_tracks::BIGINT * num_frames), 0)::BIGINT,
                  coalesce(sum(moving_fraction * num_tracks) / sum(num_tracks), 0.0)::DOUBLE
           FROM clips""",
    )[0]
    failures = _rows(
        dataset,
        """SELECT stage, error, count(*) FROM failures
           GROUP BY stage, error ORDER BY count(*) DESC, stage, error""",
    )
    table_bytes: dict[str, int] = {}
    for receipt in receipts:
        for table, file in receipt.files.items():
            table_bytes[table] = table_bytes.get(table, 0) + file.bytes
    return DatasetStatistics(
        root=dataset.root,
        tracker=dataset.spec.tracker,
        schema_version=dataset.spec.schema_version,
        sources=len({s for receipt in receipts for s, n in receipt.sources.items() if n}),
        clips=len(dataset),
        tracks=sum(receipt.tracks for receipt in receipts),
        points=clips[1],
        seconds=clips[0],
        failures=sum(receipt.failures for receipt in receipts),
        table_bytes=dict(sorted(table_bytes.items())),
        moving_fraction=clips[2],
        histograms=(
            _histogram(dataset, "tracks", "displacement", "Displacement of tracks", "px"),
            _histogram(dataset, "tracks", "mean_speed", "Mean speed of tracks", "px/frame"),
            _histogram(dataset, "tracks", "visible_fraction", "Visible share of tracks", "", 1.0),
            _histogram(dataset, "tracks", "mean_uncertainty", "Uncertainty of tracks", "", 1.0),
            _histogram(dataset, "clips", "num_tracks", "Tracks per clip", ""),
        ),
        failures_by={(stage, error): count for stage, error, count in failures},
    )


def nice_edges(low: float, high: float, bins: int = _BINS) -> tuple[float, ...]:
    """At most about `bins` equal bins over [low, high] whose edges are round numbers."""
    if not high > low:
        return (math.floor(low), math.floor(low) + 1.0)
    raw = (high - low) / bins
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(magnitude * m for m in (1, 2, 2.5, 5, 10) if magnitude * m >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return tuple(round(i * step, 10) for i in range(first, last + 1))


def _histogram(
    dataset: Dataset,
    table: str,
    column: str,
    title: str,
    unit: str,
    upper: float | None = None,
) -> Histogram:
    """upper: where the values end; otherwise the 99th percentile, with an open last bin."""
    rows = sum(getattr(receipt, table) for receipt in dataset.shards.values())
    if not rows:
        return Histogram(title, unit, (0.0, 1.0), (0,), False, 0.0, 0.0)
    quantile = "quantile_cont" if rows <= _EXACT_ROWS else "approx_quantile"
    mean, median, p99, lowest, highest = _rows(
        dataset,
        f"""SELECT avg({column})::DOUBLE, {quantile}({column}, 0.5)::DOUBLE,
                   {quantile}({column}, 0.99)::DOUBLE, min({column})::DOUBLE, max({column})::DOUBLE
            FROM {table}""",
    )[0]
    if table == "clips":
        edges = nice_edges(lowest, highest)
    else:
        edges = nice_edges(0.0, p99 if upper is None else upper, _BINS if upper is None else 10)
    step, bins = edges[1] - edges[0], len(edges) - 1
    # Float columns hold 0.3 as a little more than 0.3: the tolerance keeps it in the bin it names.
    counted = _rows(
        dataset,
        f"""SELECT least({bins - 1}, floor(({column} - {edges[0]}) / {step} + 1e-6))::INTEGER
                   AS bin, count(*)
            FROM {table} GROUP BY bin""",
    )
    found = dict(counted)
    counts = tuple(found.get(i, 0) for i in range(bins))
    return Histogram(title, unit, edges, counts, highest > edges[-1], mean, median)


def _rows(dataset: Dataset, query: str) -> list[tuple]:
    table = fetch_result(dataset.sql(query))
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
