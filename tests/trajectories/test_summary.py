"""Statistics of a dataset, as figures, text and a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.trajectories.made_clips import random_clip, write_dataset
from trajectories import Dataset, Failure, dataset_statistics, stats_html, stats_text
from trajectories.report import readable_bytes
from trajectories.sizes import column_bytes, main
from trajectories.summary import nice_edges

FAILURES = [
    Failure("/v/<b>.mp4", None, None, None, "open", "VideoError", "empty", 1),
    Failure("/v/c.mp4", None, None, None, "open", "VideoError", "empty", 1),
    Failure("/v/d.mp4", "0" * 32, 0.0, 1.0, "track", "ActorDiedError", "killed", 3),
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    clips = [
        random_clip(i, num_tracks=100 * (i % 3 + 1), source=f"/v/{i % 2}.mp4", start_s=i)
        for i in range(6)
    ]
    return write_dataset(tmp_path / "a <b> & c", {"s0": clips[:4], "s1": clips[4:]}, FAILURES)


def test_counts(dataset: Dataset) -> None:
    stats = dataset_statistics(dataset)
    assert (stats.clips, stats.tracks, stats.points, stats.sources) == (6, 1200, 9600, 2)
    assert stats.seconds == pytest.approx(6 * 8 / 24)
    assert stats.failures == 3
    assert list(stats.failures_by.items()) == [
        (("open", "VideoError"), 2),
        (("track", "ActorDiedError"), 1),
    ]
    files = list(Path(dataset.root).rglob("*.parquet"))
    assert stats.bytes == sum(file.stat().st_size for file in files)
    displacement = dataset.tracks()["displacement"].to_numpy()
    assert stats.moving_fraction == pytest.approx((displacement > 2).mean())


def test_histograms_equal_numpy(dataset: Dataset) -> None:
    stats = dataset_statistics(dataset)
    columns = ["displacement", "mean_speed", "visible_fraction", "mean_uncertainty"]
    values = [dataset.tracks()[name].to_numpy() for name in columns]
    values.append(dataset.clips()["num_tracks"].to_numpy())
    for histogram, column in zip(stats.histograms, values, strict=True):
        assert histogram.total == len(column)
        assert histogram.mean == pytest.approx(column.mean(), rel=1e-5)
        assert histogram.median == pytest.approx(np.median(column), rel=1e-5)
        # Half a step above their edges, values are in no doubt about their bin.
        step = histogram.edges[1] - histogram.edges[0]
        edges = np.array(histogram.edges) - step * 1e-6
        edges[-1] = np.inf
        assert histogram.counts == tuple(np.histogram(column.astype(np.float64), edges)[0])
        assert histogram.open_ended == (column.max() > histogram.edges[-1])


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 1, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)),
        (0, 100, (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)),
        (0, 0, (0, 1)),
        (256, 256, (256, 257)),
        (90, 110, (90, 92, 94, 96, 98, 100, 102, 104, 106, 108, 110)),
    ],
)
def test_nice_edges(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert nice_edges(low, high, 10) == pytest.approx(expected)


@pytest.mark.parametrize("high", [1e-3, 0.07, 3.3, 17, 255.9, 12345])
def test_nice_edges_cover_the_range(high: float) -> None:
    edges = nice_edges(0, high)
    assert edges[0] == 0
    assert edges[-2] < high <= edges[-1]
    assert 2 <= len(edges) <= 14


def test_text(dataset: Dataset) -> None:
    text = stats_text(dataset_statistics(dataset), width=70)
    assert re.search(r"tracks +1,200\n", text)
    assert "open: VideoError" in text
    bars = [line for line in text.splitlines() if "█" in line]
    assert len(bars) > 20
    assert max(map(len, text.splitlines()[1:])) <= 75
    share = sum(float(m) for m in re.findall(r"([\d.]+)%\n", text.partition("Mean speed")[0]))
    assert share - float(re.search(r"moving tracks +(\d+)%", text)[1]) == pytest.approx(100, abs=1)


class _Balanced(HTMLParser):
    """Every element is closed where it was opened, and nothing is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page(dataset: Dataset) -> None:
    page = stats_html(dataset_statistics(dataset))
    parser = _Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert parser.seen.count("svg") == 5
    assert "script" not in parser.seen
    assert "<h1>a &lt;b&gt; &amp; c</h1>" in page
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        root = ElementTree.fromstring(svg)
        bars = [e for e in root.iter("rect") if e.get("class") == "bar"]
        heights = [float(bar.get("height", "nan")) for bar in bars]
        counts = [int(bar[0].text.partition(": ")[2].split()[0].replace(",", "")) for bar in bars]
        scale = max(heights) / max(counts)
        np.testing.assert_allclose(heights, np.array(counts) * scale, atol=0.15)
        assert max(heights) <= 168


def test_an_empty_dataset(tmp_path: Path) -> None:
    stats = dataset_statistics(write_dataset(tmp_path, {}))
    assert (stats.clips, stats.tracks, stats.bytes, stats.moving_fraction) == (0, 0, 0, 0)
    assert re.search(r"clips +0\n", stats_text(stats))
    assert "<svg" not in stats_html(stats)


def test_readable_bytes() -> None:
    texts = [readable_bytes(n) for n in (0, 999, 1000, 123_456, 2_500_000, 7.2e9, 3e12)]
    assert texts == ["0 B", "999 B", "1.0 kB", "123 kB", "2.5 MB", "7.2 GB", "3.0 TB"]


def test_sizes(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = column_bytes(dataset)
    whole = sum(receipt.bytes for receipt in dataset.shards.values())
    assert 0.2 * whole < sum(sizes.values()) < whole
    assert sizes["points", "x_steps"] > sizes["points", "visible"] > 0
    assert main([dataset.root]) == 0
    assert "points.x_steps" in capsys.readouterr().out
    assert main(["/nosuch"]) == 1
    assert "there is nothing at this path" in capsys.readouterr().err
