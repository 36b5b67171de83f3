"""Runs as those who look on see them: what several tests are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines.extract import ExtractSummary, Snapshot
from pipelines.extract.accounting import speed_of_light
from pipelines.extract.events import Event
from pipelines.extract.monitor import Monitor, Report
from pipelines.extract.observe import RunEnd, RunInfo

RUN = RunInfo(
    run="20260115-101530-3f9a2c",
    output="/data/tracks",
    tracker="tapir-mini",
    settings={"grid": 64, "clip": {"size": 256}},
    command="tapirus extract videos -o tracks",
    folder="/data",
    host="head",
    machine="elsewhere",
    pid=4711,
    process_started="12",
    started=1000.0,
)

FAILED: Mapping[str, Any] = {
    "shard": "s0",
    "source": "/v/<b>odd.mp4",
    "clip_id": "ab" * 16,
    "start_s": 1.0,
    "end_s": 2.0,
    "stage": "track",
    "error": "FloatingPointError",
    "message": "this clip is poison & worse",
    "attempts": 3,
}


def snapshot(clips: int = 40, **values: Any) -> Snapshot:
    """Two trackers, 20 s from the first clip to the last shard, 16 tracks a clip, one failure."""
    report = Report(name="c0", first_submit=100.0, last_result=118.0, last_commit=120.0)
    report.counts.update(sources=2, clips_planned=100, clips=clips, tracks=16 * clips)
    report.counts.update(shards=5, bytes=5_000_000, clips_committed=32, deaths=1, retries=2)
    report.failures.update(FloatingPointError=1)
    report.seconds["track"] += 32.0
    report.waits["decode"] += 2.0
    report.queues = {"clips": 7, "sent": 6}
    monitor = Monitor(sources=4, actors=2)
    monitor.report(report)
    return dataclasses.replace(monitor.snapshot(), elapsed=25.0, heard=1020.0, **values)


def summary(**values: Any) -> ExtractSummary:
    """Of the same run."""
    last = snapshot()
    light = speed_of_light(640, 2, 20.0, 32.0, last.waits, 2.0)
    base = ExtractSummary("/data/tracks", clips=40, tracks=640, failures=1, seconds=30.0)
    return dataclasses.replace(base, bytes=5_000_000, shards=5, light=light, **values)


def event(kind: str, when: float = 1010.0, **values: Any) -> Event:
    return Event(kind, when, values)


def done(**values: Any) -> RunEnd:
    return RunEnd("done", 1030.0, summary=summary(**values))
