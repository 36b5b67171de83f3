"""Progress and summary: sums, rates and words."""

from __future__ import annotations

import dataclasses
import io

import pytest

from pipelines.extract import ExtractSummary, LogProgress, Snapshot
from pipelines.extract.monitor import Monitor, Report
from pipelines.extract.progress import BarProgress, clock, describe


def report(clips: int, first: float, last: float) -> Report:
    made = Report(first_submit=first, last_result=last)
    made.counts.update(sources=1, clips_planned=20, clips=clips, tracks=16 * clips)
    made.failures.update(VideoError=1)
    made.seconds["track"] += 2.0
    made.seconds["encode"] += 1.0
    return made


def snapshot() -> Snapshot:
    monitor = Monitor(sources=4, actors=2)
    assert monitor.report(report(5, first=100.0, last=103.0)) is None
    assert monitor.report(report(10, first=101.0, last=105.0)) is None
    return monitor.snapshot()


def test_reports_of_several_coordinators_add_up() -> None:
    made = snapshot()
    assert (made.clips_done, made.tracks, made.failures) == (15, 240, 2)
    assert made.failures_by_error == {"VideoError": 2}
    assert made.tracking == 5.0
    assert made.clips_per_second == 3.0
    assert made.busy_share == 4 / (2 * 5)


def test_time_left_counts_on_unsearched_videos_to_be_like_the_others() -> None:
    # Two of four videos gave 40 clips, so there will be 80; 15 done, 2 failed, 3 a second.
    assert snapshot().eta == (80 - 15 - 2) / 3


def test_trackers_that_come_later_count_from_then_on() -> None:
    monitor = Monitor(sources=1, actors=2, awaited=2)
    assert monitor.snapshot().actors == 2
    for ready in ({0: 90.0, 1: 101.0}, {2: 110.0}, {2: 115.0, 0: 130.0}):  # the first time counts
        monitor.report(Report(ready=ready))
    last = report(10, first=100.0, last=120.0)
    last.seconds["track"] += 23.0  # 25 in all
    monitor.report(last)
    made = monitor.snapshot()
    assert made.actors == 3
    assert made.actors_mean == pytest.approx((2 * 20 + 10) / 20)
    assert made.busy_share == pytest.approx(25 / 50)


def test_the_first_reason_to_stop_stays() -> None:
    monitor = Monitor(1, 1)
    monitor.stop("disk full")
    monitor.stop("something else")
    assert monitor.report(Report()) == "disk full"
    assert monitor.why_stopped() == "disk full"


def test_nothing_done_yet_divides_by_nothing() -> None:
    made = Monitor(3, 1).snapshot()
    assert (made.clips_per_second, made.busy_share, made.eta) == (0.0, 0.0, None)
    assert describe(made) == "0 clips, 0 of 3 videos searched"


def test_a_line_of_progress() -> None:
    assert describe(snapshot()) == (
        "15 clips, 2 of 4 videos searched, 3.00 clips/s, 0:21 left, 2 failed"
    )
    whole = dataclasses.replace(snapshot(), sources_planned=4)
    assert describe(whole).startswith("15 clips of 40, 3.00 clips/s")


def test_lines_come_now_and_then() -> None:
    stream = io.StringIO()
    with LogProgress(stream, every=0.0) as progress:
        progress(snapshot())
    assert stream.getvalue().count("\n") == 1
    seldom = LogProgress(stream, every=1000.0)
    seldom(snapshot())
    assert stream.getvalue().count("\n") == 1


def test_the_bar_takes_snapshots() -> None:
    with BarProgress() as bar:
        bar(Monitor(3, 1).snapshot())
        bar(snapshot())


def test_clock() -> None:
    assert [clock(s) for s in (0, 59.6, 61, 3600, 36_061)] == [
        "0:00",
        "1:00",
        "1:01",
        "1:00:00",
        "10:01:01",
    ]


def test_the_summary_in_words() -> None:
    summary = ExtractSummary(
        output="/data/set",
        clips=40,
        tracks=163_840,
        failures=3,
        failures_by_error={"VideoError": 2, "ActorDiedError": 1},
        shards=3,
        skipped_clips=8,
        bytes=12_345_678,
        seconds=100.0,
        stage_seconds={"plan": 1.0, "decode": 2.0, "track": 80.0, "encode": 0.5, "write": 3.0},
        actors=2,
        deaths=3,
        retries=5,
        busy_share=0.914,
        total_failures=3,
    )
    assert summary.text().splitlines() == [
        "dataset   /data/set",
        "clips     40   (8 were there already)",
        "tracks    163,840",
        "failures  3   (2 VideoError, 1 ActorDiedError)",
        "written   12.3 MB in 3 shards",
        "time      1:40 (100.0 s, 0.40 clips/s)",
        "stages    plan 1.0 s, decode 2.0 s, track 80.0 s, encode 500 ms, write 3.0 s",
        "trackers  2, busy 91% of the time",
        "retries   5, 3 trackers replaced",
    ]
    assert summary.succeeded()
    assert not summary.succeeded(strict=True)
    assert summary.total_clips == 48
