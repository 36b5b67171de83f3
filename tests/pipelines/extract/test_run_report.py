"""The page on a run: right figures, well-formed, and nothing from outside."""

from __future__ import annotations

import dataclasses
import io
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from run_makers import FAILED, RUN, done, event, snapshot

from pipelines.extract.estimate import Estimate, Prices, Quantity
from pipelines.extract.history import History, Moment, rates
from pipelines.extract.run_charts import rate_chart, shares_chart
from pipelines.extract.run_report import Picture, report_html, write_report


def moments(count: int, per_second: float = 2.0) -> list[Moment]:
    return [
        Moment(float(t), int(per_second * t), int(32 * t), 0, 1000 * t, 1.5 * t, 5)
        for t in range(count)
    ]


def history(**summary: Any) -> History:
    made = History()
    made.begin(RUN)
    for second in range(21):
        seen = snapshot(2 * second)
        made.see(dataclasses.replace(seen, elapsed=float(second)), [])
    made.see(snapshot(), [event("clip_failed", **FAILED), event("shard", shard="s0")])
    made.end(done(**summary))
    return made


ESTIMATE = Estimate(
    clips=Quantity(44.0, 2.0),
    failed_videos=Quantity(0.0, 0.0),
    wall_seconds=Quantity(60.0, 5.0),
    gpu_hours=Quantity(0.0, 0.0),
    cpu_hours=Quantity(0.03, 0.001),
    bytes=Quantity(6e6, 1e5),
    money=Quantity(3.0, 0.25),
    money_month=Quantity(0.1, 0.01),
    tracks_per_second=20.0,
    tracks_per_clip=16,
    actors=2,
    prices=Prices(cpu_hour=1.0),
)


class Balanced(HTMLParser):
    """Collects text; every element but the void ones must be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_a_page_of_a_whole_run() -> None:
    sink = io.BytesIO()
    Image.new("RGB", (4, 4)).save(sink, "JPEG")
    page = report_html(history(estimate=ESTIMATE), [Picture(sink.getvalue(), "a<b>.mp4, 0.50 s")])
    found = read(page)
    text = "\n".join(found.text)
    for words in ("done", "640", "Tracks over time", "The trackers' time", "a<b>.mp4, 0.50 s"):
        assert words in text
    # Nothing is loaded from anywhere and nothing runs.
    assert found.names.isdisjoint({"script", "link", "iframe"})
    assert all(link.startswith("data:image/jpeg;base64,") for link in found.links)
    # The failure as it is, the odd name harmless.
    assert "this clip is poison & worse" in text
    assert "<b>odd.mp4" in text
    assert "<b>odd" not in page
    # Estimate against outcome: 44 clips were expected, 40 came.
    assert "40" in text
    assert "44 (40 to 48)" in text
    assert "tapirus extract videos -o tracks" in text


def test_every_drawing_is_well_formed() -> None:
    page = report_html(history())
    drawings = page.split("<svg")[1:]
    assert len(drawings) == 4
    for drawing in drawings:
        ElementTree.fromstring("<svg" + drawing.partition("</svg>")[0] + "</svg>")


def test_a_run_that_failed_says_why() -> None:
    made = history()
    made.ended = dataclasses.replace(done(), state="failed", reason="disk < full", summary=None)
    text = "\n".join(read(report_html(made)).text)
    assert "disk < full" in text
    assert "failed" in text


def test_a_run_that_did_nothing_has_no_page() -> None:
    made = History()
    assert write_report(made) is None
    made.begin(RUN)
    assert write_report(made) is None


def test_rates_add_up_to_the_count() -> None:
    found = rates(moments(101), "clips", bins=20)
    assert len(found) == 20
    assert found[0][0] == 0.0
    assert found[-1][1] == 100.0
    assert sum((end - begin) * rate for begin, end, rate in found) == pytest.approx(200)
    assert all(rate == pytest.approx(2.0) for _, _, rate in found)


def test_few_steps_make_few_stretches() -> None:
    # 8 clips in 100 moments: bins of one clip or none would only show their arrival.
    few = [dataclasses.replace(m, clips=i // 12) for i, m in enumerate(moments(100))]
    assert len(rates(few, "clips")) == 4
    assert rates([], "clips") == rates(moments(1), "clips") == []


def test_history_stays_small_and_keeps_both_ends() -> None:
    made = History()
    made.begin(RUN)
    for second in range(5000):
        made.see(dataclasses.replace(snapshot(second), elapsed=float(second)), [])
    made.end(done())
    assert len(made.moments) <= 601
    assert made.moments[0].elapsed == 0
    assert made.moments[-1].elapsed == 4999
    steps = {
        round(b.elapsed - a.elapsed) for a, b in zip(made.moments, made.moments[1:-1], strict=False)
    }
    assert len(steps) == 1  # evenly spread


def test_failures_by_the_thousand_are_counted_and_a_few_are_kept() -> None:
    made = history()
    for number in range(1000):
        made.see(snapshot(), [event("clip_failed", **{**FAILED, "clip_id": f"{number:032x}"})])
    assert len(made.events["clip_failed"]) == 200
    page = report_html(made)
    assert "The first 50 of 1,001 failures" in page
    assert page.count("FloatingPointError") == 51  # 50 rows and the class


def test_charts_of_nothing_are_nothing() -> None:
    assert rate_chart("t", "u", []) == ""
    assert shares_chart("t", "n", {"a": 0.0}) == ""
    read(rate_chart("t", "u", [(0.0, 1.0, 0.0)]))


def test_a_share_below_zero_is_told_and_not_drawn() -> None:
    drawn = shares_chart("t", "n", {"tracking": 1.1, "slower tracking": -0.1})
    assert drawn.count("<rect") == 1
    assert "-10.0%" in drawn


def test_written_into_the_dataset_which_reads_on(tmp_path: Path) -> None:
    from tests.pipelines.cli.cli_makers import make_dataset, make_video
    from trajectories import open_dataset

    root = tmp_path / "tracks"
    make_dataset(root, make_video(tmp_path / "v.mp4"))
    made = history()
    made.run = dataclasses.replace(RUN, output=str(root))
    where = write_report(made)
    assert where == str(root / "reports" / f"{RUN.run}.html")
    read(Path(where).read_text())
    assert len(open_dataset(root)) == 2
