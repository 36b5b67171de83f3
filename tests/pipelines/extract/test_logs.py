"""Events from where they happen to a line of JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from run_makers import FAILED, RUN, done, event, snapshot

from pipelines.extract.events import KINDS, Event, EventBuffer
from pipelines.extract.logs import JsonLog, log_stream
from pipelines.extract.monitor import Monitor, Report
from pipelines.extract.observe import RunEnd, RunWatch


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_run_from_start_to_end() -> None:
    stream = io.StringIO()
    log = JsonLog(stream, every=0.0)
    log.begin(RUN)
    log.see(snapshot(), [event("clip_failed", **FAILED), event("shard", shard="s0", clips=16)])
    log.end(done())
    start, failed, shard, progress, end = lines(stream)
    assert [line["event"] for line in (start, failed, shard, progress, end)] == [
        "start",
        "clip_failed",
        "shard",
        "progress",
        "end",
    ]
    assert {line["run"] for line in lines(stream)} == {RUN.run}
    assert {line["event"] for line in lines(stream)} <= KINDS.keys()
    assert start["time"] == "1970-01-01T00:16:40.000Z"
    assert start["settings"]["clip"] == {"size": 256}
    for key in ("clip_id", "stage", "error", "message", "attempts"):
        assert failed[key] == FAILED[key]
    assert progress["clips"] == 40
    assert progress["queues"] == {"clips": 7, "sent": 6}
    assert (end["state"], end["clips"], end["failures"]) == ("done", 40, 1)


def test_progress_is_a_line_now_and_then() -> None:
    stream = io.StringIO()
    log = JsonLog(stream, every=1000.0)
    log.begin(RUN)
    for _ in range(5):
        log.see(snapshot(), [])
    log.end(RunEnd("failed", 1.0, "disk full"))
    assert [line["event"] for line in lines(stream)] == ["start", "end"]
    assert lines(stream)[1]["reason"] == "disk full"


def test_names_that_are_no_text_make_lines_all_the_same() -> None:
    stream = io.StringIO()
    log = JsonLog(stream)
    log.begin(RUN)
    log.see(snapshot(), [event("video_failed", source="/v/\udce9\n.mp4")])
    assert stream.getvalue().isascii()
    assert lines(stream)[1]["source"] == "/v/\udce9\n.mp4"


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for _ in range(2):
        with log_stream(str(path)) as stream:
            JsonLog(stream).begin(RUN)
    assert len(path.read_text().splitlines()) == 2


def test_events_are_taken_once_and_in_order() -> None:
    buffer = EventBuffer(kept=100)
    buffer.extend([event("shard", shard=str(i)) for i in range(5)])
    number, lost, first = buffer.since(0)
    assert (number, lost, len(first)) == (5, 0, 5)
    assert buffer.since(number) == (5, 0, [])
    buffer.extend([event("shard", shard="5")])
    number, lost, more = buffer.since(number)
    assert (number, lost, [item.values["shard"] for item in more]) == (6, 0, ["5"])


def test_events_that_came_too_fast_are_counted() -> None:
    buffer = EventBuffer(kept=10)
    buffer.extend([event("shard", shard=str(i)) for i in range(25)])
    number, lost, kept = buffer.since(3)
    assert (number, lost) == (25, 12)
    assert [item.values["shard"] for item in kept] == [str(i) for i in range(15, 25)]


def test_a_buffer_that_began_anew_is_read_from_its_beginning() -> None:
    buffer = EventBuffer()
    buffer.extend([event("shard")])
    number, lost, kept = buffer.since(700)  # of the one that was lost with its machine
    assert (number, lost, len(kept)) == (1, 0, 1)


def test_from_a_coordinators_report_through_the_monitor_to_the_log() -> None:
    monitor, stream = Monitor(1, 1), io.StringIO()
    report = Report(name="c0")
    report.note("attempt_failed", clip_id="ab", stage="decode", error="VideoError", attempt=1)
    monitor.report(report)
    watch = RunWatch(RUN, [JsonLog(stream)])
    with watch:
        watch.see(*monitor.poll(watch.number))
        watch.see(*monitor.poll(watch.number))
        watch.done(done().summary)  # type: ignore[arg-type]
    assert [line["event"] for line in lines(stream)] == ["start", "attempt_failed", "end"]
    assert lines(stream)[1]["clip_id"] == "ab"


def test_one_report_holds_no_more_events_than_can_travel() -> None:
    report = Report()
    for _ in range(1500):
        report.note("attempt_failed", clip_id="ab")
    assert len(report.events) == 1000
    monitor = Monitor(1, 1)
    monitor.report(report)
    _, (_, _, events) = monitor.poll(0)
    assert [item.kind for item in events] == ["attempt_failed"] * 1000 + ["lost"]
    assert events[-1].values == {"events": 500}


def test_a_log_that_cannot_be_written_does_not_stop_the_run(caplog: Any) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    seen: list[Event] = []

    class Other:
        def begin(self, run: Any) -> None: ...

        def see(self, snapshot: Any, events: Any) -> None:
            seen.extend(events)

        def end(self, end: Any) -> None: ...

    with RunWatch(RUN, [JsonLog(Full()), Other()]) as watch:
        watch.see(snapshot(), (1, 0, [event("shard")]))
        watch.see(snapshot(), (2, 0, [event("shard")]))
    assert len(seen) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "JsonLog of this run: [Errno 28] No space left on device"
    ]
