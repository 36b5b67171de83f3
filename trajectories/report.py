"""Statistics of a dataset as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from trajectories.summary import DatasetStatistics, Histogram

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def stats_text(stats: DatasetStatistics, width: int = 80) -> str:
    """Counts and histograms as lines of at most about `width` characters."""
    lines = [stats.root, *_two_columns(headline(stats))]
    for histogram in stats.histograms:
        if histogram.total:
            lines += ["", *_histogram_lines(histogram, width)]
    if stats.failures_by:
        lines += ["", f"Failures ({stats.failures:,})"]
        labels = [f"{stage}: {error}" for stage, error in stats.failures_by]
        lines += _bar_lines(labels, list(stats.failures_by.values()), width)
    return "\n".join(lines)


def headline(stats: DatasetStatistics) -> list[tuple[str, str]]:
    """The figures above the histograms: name and value."""
    per_clip = f", {readable_bytes(stats.bytes / stats.clips)} a clip" if stats.clips else ""
    return [
        ("videos", f"{stats.sources:,}"),
        ("clips", f"{stats.clips:,}"),
        ("seconds of video", f"{stats.seconds:,.1f}"),
        ("tracks", f"{stats.tracks:,}"),
        ("points", f"{stats.points:,}"),
        ("moving tracks", f"{stats.moving_fraction:.0%}"),
        ("failures", f"{stats.failures:,}"),
        ("size", readable_bytes(stats.bytes) + per_clip),
        ("tracker", stats.tracker),
    ]


def bin_labels(histogram: Histogram) -> list[str]:
    """Text for each bin: its range, or its lower edge where it is open."""
    edges = [f"{edge:,.10g}" for edge in histogram.edges]
    labels = [f"{low} to {high}" for low, high in pairwise(edges)]
    if histogram.open_ended:
        labels[-1] = f"≥ {edges[-2]}"
    return labels


def mean_and_median(histogram: Histogram) -> str:
    """The line under a histogram's title."""
    unit = f" {histogram.unit}" if histogram.unit else ""
    return f"mean {_number(histogram.mean)}{unit}, median {_number(histogram.median)}{unit}"


def readable_bytes(size: float) -> str:
    """Bytes with a decimal unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _histogram_lines(histogram: Histogram, width: int) -> list[str]:
    unit = f", {histogram.unit}" if histogram.unit else ""
    title = f"{histogram.title}{unit}  ({mean_and_median(histogram)})"
    return [title, *_bar_lines(bin_labels(histogram), histogram.counts, width)]


def _bar_lines(labels: Sequence[str], counts: Sequence[int], width: int) -> list[str]:
    label_width = max(len(label) for label in labels)
    numbers = [f"{count:,}" for count in counts]
    number_width = max(len(number) for number in numbers)
    room = max(width - label_width - number_width - 11, 8)
    total, most = sum(counts), max(counts)
    return [
        f"  {label:>{label_width}} {_bar(count / most * room):<{room}} {number:>{number_width}} "
        f"{count / total:>5.1%}"
        for label, count, number in zip(labels, counts, numbers, strict=True)
    ]


def _bar(length: float) -> str:
    """A bar of `length` characters, to an eighth; anything above nothing can be seen."""
    eighths = max(round(length * 8), 1 if length > 0 else 0)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def _two_columns(pairs: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in pairs)
    return [f"  {name:<{width}}  {value}" for name, value in pairs]
