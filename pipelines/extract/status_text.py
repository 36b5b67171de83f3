"""A run's status in words: how far, how fast, what failed, and how to go on."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from pipelines.extract.progress import clock
from pipelines.extract.status import RunStatus, Sign
from trajectories.lease import Lease
from trajectories.report import readable_bytes

_WORDS: dict[Sign, str] = {
    "starting": "starting",
    "running": "running",
    "waiting": "running, but the Ray cluster has not been heard of for {quiet}",
    "dead": "dead: no sign of life for {age}",
    "done": "done",
    "stopped": "stopped",
    "failed": "failed: {reason}",
}
# The state calls for somebody: the command's exit code says so.
UNFINISHED: frozenset[Sign] = frozenset({"dead", "stopped", "failed"})


def status_text(status: RunStatus, sign: Sign, now: float) -> str:
    """A few aligned lines."""
    return "\n".join(f"{name:<9} {value}" for name, value in _rows(status, sign, now))


def status_values(status: RunStatus, sign: Sign, now: float) -> dict[str, Any]:
    """The same for programs: what the file holds, and what was made of it."""
    snapshot = status.snapshot
    return {
        **asdict(status),
        "sign": sign,
        "age": round(max(0.0, now - status.written), 3),
        "clips_expected": snapshot.clips_expected,
        "clips_per_second": snapshot.clips_per_second,
        "busy_share": snapshot.busy_share,
        "eta": snapshot.eta if sign == "running" else None,
    }


def starting_text(root: str, lease: Lease, last: RunStatus | None, sign: Sign | None) -> str:
    """Of a run that has taken the dataset and loads its trackers."""
    since = time.strftime("%H:%M:%S", time.localtime(lease.started))
    lines = [
        f"dataset   {root}",
        f"state     starting since {since}: process {lease.pid} on {lease.host} loads its trackers",
    ]
    if last is not None:
        lines.append(f"before    {last.run.run}: {sign}, {_clips(last)} clips")
    return "\n".join(lines)


def starting_values(lease: Lease) -> dict[str, Any]:
    """The same for programs."""
    return {"sign": "starting", "lease": asdict(lease)}


def _rows(status: RunStatus, sign: Sign, now: float) -> list[tuple[str, str]]:
    run, snapshot = status.run, status.snapshot
    age = clock(max(0.0, now - status.written))
    quiet = clock(max(0.0, status.written - snapshot.heard))
    state = _WORDS[sign].format(age=age, quiet=quiet, reason=status.reason or "no reason given")
    if sign != "dead":
        state += f"   (last sign of life {age} ago)"
    rows = [
        ("dataset", run.output),
        ("run", f"{run.run} on {run.host}, process {run.pid}, {run.tracker}"),
        ("state", state),
        ("clips", _clips(status)),
    ]
    if snapshot.clips_per_second:
        tracks = snapshot.tracks / snapshot.tracking
        rows.append(
            (
                "rate",
                f"{snapshot.clips_per_second:.2f} clips/s, {tracks:,.0f} tracks/s, "
                f"{snapshot.actors} trackers busy {100 * snapshot.busy_share:.0f}% of the time",
            )
        )
    rows.append(("time", clock(snapshot.elapsed)))
    if sign == "running" and snapshot.eta is not None:
        end = time.strftime("%H:%M", time.localtime(now + snapshot.eta))
        rows.append(("left", f"{clock(snapshot.eta)}   (until about {end})"))
    committed = f"{snapshot.clips_committed:,} clips in {snapshot.shards:,} shards"
    rows.append(("committed", f"{committed}, {readable_bytes(snapshot.bytes)}"))
    rows.append(("failures", _failures(status)))
    if snapshot.deaths or snapshot.retries:
        rows.append(("retries", f"{snapshot.retries}, {snapshot.deaths} trackers replaced"))
    if sign in UNFINISHED:
        rows.append(("go on", f"in {run.folder}: {run.command}"))
    return rows


def _clips(status: RunStatus) -> str:
    snapshot = status.snapshot
    done = snapshot.clips_done + snapshot.clips_skipped
    text = f"{done:,}"
    expected = snapshot.clips_expected
    if expected:
        guess = "about " if snapshot.sources_planned < snapshot.sources else ""
        text += f" of {guess}{expected:,.0f} ({100 * done / expected:.0f}%)"
    text += f", {snapshot.sources_planned:,} of {snapshot.sources:,} videos searched"
    if snapshot.clips_skipped:
        text += f"   ({snapshot.clips_skipped:,} were there already)"
    return text


def _failures(status: RunStatus) -> str:
    kinds = status.snapshot.failures_by_error
    if not kinds:
        return "0"
    each = ", ".join(f"{count:,} {name}" for name, count in kinds.items())
    return f"{status.snapshot.failures:,}   ({each})"
