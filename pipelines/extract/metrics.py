"""A run's figures for Prometheus, in its text format, served by the driver.

The format is a few lines of text, so nothing is needed for it. Counters begin at zero with the run;
labels have few values (error classes, stages), so that no archive makes too many series.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipelines.extract.errors import ExtractError
from pipelines.extract.events import Event
from pipelines.extract.monitor import Snapshot
from pipelines.extract.observe import RunEnd, RunInfo

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]

# Name → type and help, as they are served; dashboards and alerts may ask for these.
METRICS: dict[str, tuple[str, str]] = {
    "tapirus_run_info": ("gauge", "1; its labels name the run, its dataset and its tracker."),
    "tapirus_run_seconds": ("gauge", "Seconds since the trackers were ready."),
    "tapirus_last_report_timestamp_seconds": ("gauge", "When a coordinator last reported."),
    "tapirus_videos": ("gauge", "Videos of this run."),
    "tapirus_videos_searched_total": ("counter", "Videos cut into clips."),
    "tapirus_clips_planned_total": ("counter", "Clips found in the videos searched."),
    "tapirus_clips_total": ("counter", "Clips tracked."),
    "tapirus_clips_skipped_total": ("counter", "Clips that an earlier run had committed."),
    "tapirus_tracks_total": ("counter", "Tracks made."),
    "tapirus_failures_total": ("counter", "Clips and videos given up, by error class."),
    "tapirus_retries_total": ("counter", "Attempts on clips and videos that were made again."),
    "tapirus_actor_deaths_total": ("counter", "Trackers that died and were replaced."),
    "tapirus_shards_total": ("counter", "Shards committed."),
    "tapirus_bytes_total": ("counter", "Bytes committed."),
    "tapirus_actors": ("gauge", "Trackers of the pool."),
    "tapirus_actor_busy_ratio": ("gauge", "Share of the trackers' time spent tracking, so far."),
    "tapirus_stage_seconds_total": ("counter", "Seconds of work by stage, over all processes."),
    "tapirus_actor_wait_seconds_total": (
        "counter",
        "Seconds that trackers stood still, by reason.",
    ),
    "tapirus_queue_depth": ("gauge", "What waits: buckets, clips, sent clips, shards, writes."),
    "tapirus_eta_seconds": ("gauge", "Seconds left, while that can be told."),
}


def samples(snapshot: Snapshot) -> Iterator[tuple[str, Labels, float]]:
    """Every figure of a run: metric, labels, value."""
    yield "tapirus_run_seconds", {}, snapshot.elapsed
    yield "tapirus_last_report_timestamp_seconds", {}, snapshot.heard
    yield "tapirus_videos", {}, snapshot.sources
    yield "tapirus_videos_searched_total", {}, snapshot.sources_planned
    yield "tapirus_clips_planned_total", {}, snapshot.clips_planned
    yield "tapirus_clips_total", {}, snapshot.clips_done
    yield "tapirus_clips_skipped_total", {}, snapshot.clips_skipped
    yield "tapirus_tracks_total", {}, snapshot.tracks
    for error, count in snapshot.failures_by_error.items():
        yield "tapirus_failures_total", {"error": error}, count
    yield "tapirus_retries_total", {}, snapshot.retries
    yield "tapirus_actor_deaths_total", {}, snapshot.deaths
    yield "tapirus_shards_total", {}, snapshot.shards
    yield "tapirus_bytes_total", {}, snapshot.bytes
    yield "tapirus_actors", {}, snapshot.actors
    yield "tapirus_actor_busy_ratio", {}, snapshot.busy_share
    for stage, seconds in snapshot.seconds.items():
        yield "tapirus_stage_seconds_total", {"stage": stage}, seconds
    for reason, seconds in snapshot.waits.items():
        yield "tapirus_actor_wait_seconds_total", {"reason": reason}, seconds
    for queue, depth in snapshot.queues.items():
        yield "tapirus_queue_depth", {"queue": queue}, depth
    if snapshot.eta is not None:
        yield "tapirus_eta_seconds", {}, snapshot.eta


def metrics_text(run: RunInfo | None, snapshot: Snapshot | None) -> str:
    """The page: HELP and TYPE of each metric, and its samples."""
    found: dict[str, list[str]] = {}
    if run is not None:
        names = {"run": run.run, "dataset": run.output, "tracker": run.tracker}
        found["tapirus_run_info"] = [_line("tapirus_run_info", names, 1)]
    for name, labels, value in samples(snapshot) if snapshot is not None else ():
        found.setdefault(name, []).append(_line(name, labels, value))
    lines = []
    for name, (kind, text) in METRICS.items():
        if name in found:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *found[name]]
    return "".join(f"{line}\n" for line in lines)


def _line(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    number = repr(float(value)) if isinstance(value, float) else str(value)
    return f"{name}{{{inner}}} {number}" if inner else f"{name} {number}"


def _escaped(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode()  # a file name may hold what UTF-8 does not
    return clean.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class MetricsServer:
    """An observer that serves /metrics on a port of this machine, to whoever may reach it."""

    def __init__(self, port: int, host: str = "") -> None:
        """port: 0 takes any free one, see `port`. Raises ExtractError where it is taken."""
        self._run: RunInfo | None = None
        self._snapshot: Snapshot | None = None
        page = self._page

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.partition("?")[0] not in ("/metrics", "/metrics/"):
                    self.send_error(404, "only /metrics is here")
                    return
                data = page().encode()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """A scrape every few seconds is no news."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ExtractError(
                f"port {port} cannot be used for metrics ({reason}): give another --metrics-port"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="tapirus-metrics", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def _page(self) -> str:
        return metrics_text(self._run, self._snapshot)

    def begin(self, run: RunInfo) -> None:
        self._run = run

    def see(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        self._snapshot = snapshot

    def end(self, end: RunEnd) -> None:
        """The last figures stay until `close`."""

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
