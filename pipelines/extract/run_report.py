"""A page on one run: how fast it was and when, where the time went, what failed, what it made.

Self-contained HTML, kept in the dataset as `reports/<run>.html`; readers of the dataset ignore it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath

from PIL import Image

from pipelines.extract.estimate import compare_rows
from pipelines.extract.history import History, Moment, rates
from pipelines.extract.inputs import recorded_buckets
from pipelines.extract.monitor import STAGES
from pipelines.extract.observe import RunEnd
from pipelines.extract.planning import read_plan
from pipelines.extract.progress import clock
from pipelines.extract.run_charts import Stretch, rate_chart, shares_chart
from pipelines.extract.sampling import apart
from pipelines.extract.summary import ExtractSummary
from pipelines.video import ClipSpec, VideoError, read_clip
from trajectories import Dataset, open_dataset
from trajectories.html_page import html_cards, html_figures, html_page, html_table
from trajectories.report import readable_bytes
from trajectories.storage import Storage, connect

FOLDER = "reports"
_FAILURES = 50
_CLIPS = 4
_TRACKS = 256  # drawn on each picture: beyond, the picture itself can no longer be seen


@dataclass(frozen=True)
class Picture:
    """One frame with its tracks: JPEG, and what it shows."""

    jpeg: bytes
    caption: str


def write_report(history: History, clips: int = _CLIPS) -> str | None:
    """Writes the page of a run that has ended; returns where it is, None where there is nothing.

    clips: how many are drawn at most, where their videos can be read. Raises StorageError.
    """
    if history.run is None or history.last is None:
        return None
    storage = connect(history.run.output)
    name = f"{FOLDER}/{history.run.run}.html"
    pictures = list(overlays(open_dataset(history.run.output), clips))
    storage.write(name, report_html(history, pictures).encode())
    return storage.url(name)


def report_html(history: History, pictures: Sequence[Picture] = ()) -> str:
    """The page, from what was seen of the run."""
    run, last, ended = history.run, history.last, history.ended
    assert run is not None
    assert last is not None
    summary = ended.summary if ended is not None else None
    cards = [
        rate_chart("Tracks over time", "tracks/s", rates(history.moments, "tracks")),
        rate_chart("Trackers at work", "%", _busy(history.moments, last.actors), top=100.0),
        _committed(history.moments),
        _stages(last.seconds, last.waits),
    ]
    if summary is not None and summary.light is not None:
        light = summary.light
        note = dict(light.lines())["speed"]
        cards.append(
            shares_chart("The trackers' time", note, {"tracking": light.ratio, **light.losses})
        )
    if summary is not None and summary.estimate is not None and summary.clips:
        rows = compare_rows(summary.estimate, summary.outcome)
        cards.append(html_table("Estimate", ("", "outcome", "expected"), rows, numbers=2))
    if last.failures_by_error:
        kinds = [(error, f"{count:,}") for error, count in last.failures_by_error.items()]
        cards.append(html_table("Failures by class", ("error", "number"), kinds))
    sections = [html_cards(card for card in cards if card)]
    if pictures:
        sections.append(_gallery(pictures))
    sections += _failures(history)
    sections.append(_settings(history))
    title = f"{run.output}: run {run.run}"
    body = "\n".join([html_figures(_headline(history, ended, summary)), *sections])
    return html_page(run.run, title, f"{run.output} · {run.tracker} · {run.host}", body)


def overlays(dataset: Dataset, clips: int) -> Iterator[Picture]:
    """The middle frame of clips spread over the dataset, those whose videos can be read.

    How to read them stands in the recorded plans: no video is searched for shot cuts again.
    """
    from pipelines.render import draw_tracks

    committed = set(dataset.clips(["clip_id"])["clip_id"].to_pylist())
    left = clips
    # Twice as many are tried as are wanted: videos may have gone since they were tracked.
    for spec in _spread(dataset.storage, 2 * clips):
        if not left:
            return
        if spec.info.clip_id not in committed:
            continue
        try:
            frames = read_clip(spec)
        except VideoError:
            continue
        left -= 1
        info, middle, clip = spec.info, len(frames) // 2, dataset.clip(spec.info.clip_id)
        (frame,) = draw_tracks(
            frames,
            clip.tracks,
            clip.visible,
            max_tracks=_TRACKS,
            starts=clip.queries[:, [2, 1]],
            frames=[middle],
        )
        sink = io.BytesIO()
        Image.fromarray(frame).save(sink, "JPEG", quality=85, subsampling=0)
        caption = (
            f"{PurePath(info.source).name}, {info.start_s + middle / info.fps:.2f} s, "
            f"clip {info.clip_id[:8]}"
        )
        yield Picture(sink.getvalue(), caption)


def _spread(storage: Storage, count: int) -> list[ClipSpec]:
    """Planned clips, of as many buckets as there are, and apart within each."""
    buckets = list(recorded_buckets(storage))
    some = [buckets[len(buckets) * i // count] for i in range(min(count, len(buckets)))]
    plans = [read_plan(storage, bucket) for bucket in some]
    lists = [[spec for shard in plan for spec in shard.specs] for plan in plans if plan is not None]
    return apart([specs for specs in lists if specs], count)


def _headline(
    history: History, ended: RunEnd | None, summary: ExtractSummary | None
) -> list[tuple[str, str]]:
    last = history.last
    assert last is not None
    state = "running" if ended is None else ended.state
    figures = [("state", state), ("clips", f"{last.clips_done:,}")]
    if last.clips_skipped:
        figures.append(("clips there before", f"{last.clips_skipped:,}"))
    figures += [
        ("tracks", f"{last.tracks:,}"),
        ("failures", f"{last.failures:,}"),
        ("written", f"{readable_bytes(last.bytes)}, {last.shards:,} shards"),
        ("time", clock(summary.seconds if summary is not None else last.elapsed)),
        ("rate", f"{last.clips_per_second:.2f} clips/s"),
        ("trackers", f"{last.actors}, busy {last.busy_share:.0%}"),
    ]
    if summary is not None and summary.light is not None:
        figures.append(("of the bare tracker", f"{summary.light.ratio:.0%}"))
    if last.retries or last.deaths:
        figures.append(("retries", f"{last.retries:,}; {last.deaths:,} trackers replaced"))
    return figures


def _busy(moments: Sequence[Moment], actors: int) -> list[Stretch]:
    """Percent of the trackers' time. A batch counts when it comes back, so it may exceed 100."""
    return [
        (begin, end, 100 * rate / max(actors, 1))
        for begin, end, rate in rates(moments, "track_seconds")
    ]


def _committed(moments: Sequence[Moment]) -> str:
    found = rates(moments, "bytes")
    unit, size = ("MB/s", 1e6) if any(rate >= 1e5 for _, _, rate in found) else ("kB/s", 1e3)
    scaled = [(begin, end, rate / size) for begin, end, rate in found]
    return rate_chart("Committed over time", unit, scaled)


def _stages(seconds: dict[str, float], waits: dict[str, float]) -> str:
    """Work by stage, then waiting by reason, summed over processes."""
    rows = [(stage, f"{seconds.get(stage, 0.0):,.1f} s") for stage in STAGES]
    rows += [(f"trackers wait: {reason}", f"{spent:,.1f} s") for reason, spent in waits.items()]
    return html_table("Time by stage, over all processes", ("stage", "time"), rows)


def _gallery(pictures: Sequence[Picture]) -> str:
    figures = "\n".join(
        f'<figure><img alt="{escape(picture.caption)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in pictures
    )
    return f'<section>\n<h2>Samples</h2>\n<div class="pictures">\n{figures}\n</div>\n</section>'


def _failures(history: History) -> list[str]:
    """The first of each kind, whole; the failures table of the dataset has them all."""
    found = [
        *history.events.get("clip_failed", ()),
        *history.events.get("video_failed", ()),
    ]
    if not found:
        return []
    rows = [
        (
            str(item.get("clip_id") or "")[:8] or "whole video",
            PurePath(str(item.get("source"))).name,
            f"{item.get('stage')}: {item.get('error')}",
            str(item.get("message")),
            str(item.get("attempts")),
        )
        for item in found[:_FAILURES]
    ]
    total = history.counts["clip_failed"] + history.counts["video_failed"]
    title = "Failures" if total <= len(rows) else f"The first {len(rows)} of {total:,} failures"
    title += ": tapirus replay DATASET CLIP runs one again"
    heads = ("clip", "video", "stage and error", "message", "attempts")
    return [html_table(title, heads, rows)]


def _settings(history: History) -> str:
    run, ended = history.run, history.ended
    assert run is not None
    lines = [f"in {run.folder}", f"$ {run.command}", ""]
    for name, value in run.settings.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        lines += [f"{name}{'.' if key else ''}{key} = {item!r}" for key, item in inner]
    if ended is not None and ended.reason:
        lines = [ended.reason, "", *lines]
    text = escape("\n".join(lines))
    return f'<section style="margin-top:.8rem">\n<h2>The run</h2>\n<pre>{text}</pre>\n</section>'
