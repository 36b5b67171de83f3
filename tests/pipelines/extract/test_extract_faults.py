"""Clips, trackers and disks that fail: what each costs, and nothing more."""

from __future__ import annotations

import dataclasses
import errno
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import ray
from extract_archive import Archive
from processes import tracker_pids

import trajectories
from pipelines.extract import (
    ExtractError,
    ExtractSettings,
    TrackerFactory,
    actors,
    fleet,
    run_extract,
)
from pipelines.video import ClipSpec
from trajectories.storage import LocalStorage

Settings = Callable[..., ExtractSettings]
Stub = Callable[..., TrackerFactory]
MakeVideo = Callable[..., Path]
Digests = Callable[[Path], Mapping[str, str]]

pytestmark = pytest.mark.usefixtures("cluster", "no_leftovers")

POISON = 200


def failures(out: Path) -> list[dict[str, Any]]:
    return trajectories.open_dataset(out).failures().to_pylist()


@pytest.mark.parametrize(
    "fault, error",
    [
        ("dies_at", "ActorUnavailableError"),
        ("raises_at", "FloatingPointError"),
        ("lost_at", "ValueError"),
    ],
)
def test_poison_costs_its_own_clip_after_three_attempts(
    tmp_path: Path,
    make_video: MakeVideo,
    quick_settings: Settings,
    stub: Stub,
    fault: str,
    error: str,
) -> None:
    for i in range(8):
        make_video(f"v{i}", level=POISON if i == 3 else 10 * i, frames=7)
    out = tmp_path / "out"
    settings = quick_settings(batch_clips=4, shard_clips=8)
    summary = run_extract(
        [str(tmp_path / "videos")], str(out), settings, factory=stub(**{fault: POISON})
    )
    (failure,) = failures(out)
    assert Path(failure["source"]).name == "v3.mp4"
    assert (failure["stage"], failure["error"], failure["attempts"]) == ("track", error, 3)
    assert failure["clip_id"] is not None
    assert failure["end_s"] > failure["start_s"]
    kept = {Path(clip.info.source).name for clip in trajectories.open_dataset(out)}
    assert kept == {f"v{i}.mp4" for i in range(8) if i != 3}
    assert (summary.clips, summary.failures) == (7, 1)
    # Late news of a death may make it look like two.
    assert summary.deaths >= 3 if fault == "dies_at" else summary.deaths == 0
    assert summary.retries >= 2


def test_what_hangs_is_ended_and_costs_its_own_clip(
    tmp_path: Path,
    make_video: MakeVideo,
    quick_settings: Settings,
    stub: Stub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for i in range(6):
        make_video(f"v{i}", level=POISON if i == 3 else 10 * i, frames=7)

    def decode(specs: Sequence[ClipSpec], limit: float | None) -> Any:
        with actors.time_limit(limit):
            if any("v4" in spec.info.source for spec in specs):
                time.sleep(3600)
        return actors.decode_clips(specs, limit)

    monkeypatch.setattr(fleet, "_DECODE", ray.remote(num_cpus=0.25, max_retries=0)(decode))
    out = tmp_path / "out"
    start = time.monotonic()
    settings = quick_settings(batch_clips=4, shard_clips=6, clip_timeout=1.0, max_attempts=2)
    summary = run_extract(
        [str(tmp_path / "videos")], str(out), settings, factory=stub(hangs_at=POISON)
    )
    assert time.monotonic() - start < 60
    found = {Path(f["source"]).stem: f for f in failures(out)}
    assert {name: (f["stage"], f["error"], f["attempts"]) for name, f in found.items()} == {
        "v3": ("track", "ClipTimeout", 2),
        "v4": ("decode", "WorkerCrashedError", 2),
    }
    assert "no result after 1 s, in stuck_in_a_library" in found["v3"]["message"]
    assert "--clip-timeout" in found["v3"]["message"]
    assert "took longer than the 1 s of --clip-timeout" in found["v4"]["message"]
    assert summary.clips == 4


class Killer(threading.Thread):
    """Kills a random tracker process of this test every so often, a number of times."""

    def __init__(self, kills: int, every: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.kills, self.every, self.rng = kills, every, random.Random(seed)
        self.killed = 0
        self.over = threading.Event()

    def run(self) -> None:
        while self.killed < self.kills and not self.over.wait(self.every * self.rng.random() * 2):
            pids = tracker_pids()
            if pids:
                os.kill(self.rng.choice(pids), signal.SIGKILL)
                self.killed += 1

    def __enter__(self) -> Killer:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        self.join()


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_trackers_killed_at_random_change_nothing(
    tmp_path: Path, archive: Archive, stub: Stub, digests: Digests, kills: int
) -> None:
    # Kills from outside look like the clip's doing. In a storm of them, with trackers that live
    # hardly longer than a batch takes, three strikes would blame some clip that had bad luck.
    strikes = 3 if kills < 10 else 12
    settings = dataclasses.replace(
        archive.settings, num_actors=2, batch_clips=2, max_attempts=strikes
    )
    # Time enough for all the kills.
    factory = stub(seconds=min(1.0, 0.1 * kills))
    out = tmp_path / "out"
    with Killer(kills, every=1.5, seed=kills) as killer:
        run_extract([str(archive.folder / "*.mp4")], str(out), settings, factory=factory)
    assert killer.killed >= min(kills, 2)
    assert [f["stage"] for f in failures(out)] == ["open"]
    assert digests(out) == archive.digests


def test_a_tracker_removed_for_good_is_made_again(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub
) -> None:
    for i in range(4):
        make_video(f"v{i}", frames=25)
    removed = []

    def remove(snapshot: Any) -> None:
        if snapshot.clips_done and not removed:
            entries = ray.util.list_named_actors(all_namespaces=True)
            name = next(e["name"] for e in entries if e["name"].endswith("-tracker-0"))
            ray.kill(ray.get_actor(name, namespace="tapirus"), no_restart=True)
            removed.append(name)

    summary = run_extract(
        [str(tmp_path / "videos")],
        str(tmp_path / "out"),
        quick_settings(),
        factory=stub(seconds=0.3),
        progress=remove,
    )
    assert removed
    assert (summary.clips, summary.failures) == (16, 0)


def test_a_full_disk_ends_the_run_with_one_line_and_no_half_shard(
    tmp_path: Path,
    archive: Archive,
    stub: Stub,
    digests: Digests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs, out = [str(archive.folder / "*.mp4")], tmp_path / "out"
    with monkeypatch.context() as patch:
        fsync, calls = os.fsync, iter(range(10_000))

        def full(descriptor: int) -> None:
            # Late enough for some shards to be committed.
            if next(calls) > 20:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(descriptor)

        patch.setattr(os, "fsync", full)
        with pytest.raises(ExtractError) as caught:
            run_extract(inputs, str(out), archive.settings, factory=stub())
    message = str(caught.value)
    assert "the disk is full" in message
    assert str(out) in message
    assert "\n" not in message
    committed = trajectories.committed_shards(out)
    for shard in committed.values():
        for table in shard.files:
            assert (out / table / f"{shard.shard}.parquet").exists()
    assert len(committed) < archive.shards
    run_extract(inputs, str(out), archive.settings, factory=stub())
    assert digests(out) == archive.digests


def test_output_that_cannot_be_written_is_one_line(
    tmp_path: Path,
    make_video: MakeVideo,
    quick_settings: Settings,
    stub: Stub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Root may write anywhere, so permissions are refused by hand.
    def refuse(self: LocalStorage, name: str, data: bytes) -> Any:
        raise trajectories.StorageError(f"cannot write {self.path(name)}: Permission denied")

    monkeypatch.setattr(LocalStorage, "stage", refuse)
    with pytest.raises((ExtractError, trajectories.DatasetError), match="Permission denied"):
        run_extract([str(make_video("a"))], str(tmp_path / "o"), quick_settings(), factory=stub())


@pytest.fixture
def interrupt_once() -> Iterator[Callable[[Any], None]]:
    """A progress callback that presses Ctrl-C when the first clips are done."""
    pressed: list[float] = []

    def press(snapshot: Any) -> None:
        if snapshot.clips_done and not pressed:
            pressed.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

    yield press
    assert pressed


def test_ctrl_c_stops_soon_keeps_what_is_committed_and_can_be_resumed(
    tmp_path: Path,
    archive: Archive,
    stub: Stub,
    digests: Digests,
    interrupt_once: Callable[[Any], None],
) -> None:
    inputs, out = [str(archive.folder / "*.mp4")], tmp_path / "out"
    handler = signal.getsignal(signal.SIGINT)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_extract(
            inputs,
            str(out),
            archive.settings,
            factory=stub(seconds=3.0),
            progress=interrupt_once,
        )
    # All of it would take 72 s.
    assert time.monotonic() - start < 45
    assert signal.getsignal(signal.SIGINT) is handler
    committed = trajectories.committed_shards(out)
    assert len(committed) < archive.shards
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]
    shards = {path.stem for path in (out / "points").glob("*")} if committed else set()
    assert shards == set(committed)
    run_extract(inputs, str(out), archive.settings, factory=stub())
    assert digests(out) == archive.digests


def test_a_video_that_crashes_the_decoder_or_the_planner_costs_itself_alone(
    tmp_path: Path,
    make_video: MakeVideo,
    quick_settings: Settings,
    stub: Stub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("a", "bad-clip", "bad-file", "z"):
        make_video(name, frames=7)

    # As libav does when it meets a file that it has a bug for.
    def decode(specs: Sequence[ClipSpec], limit: float | None) -> Any:
        if any("bad-clip" in spec.info.source for spec in specs):
            os.kill(os.getpid(), signal.SIGSEGV)
        return actors.decode_clips(specs, limit)

    def plan(source: str, settings: Any, limit: float | None) -> Any:
        if "bad-file" in source:
            os.kill(os.getpid(), signal.SIGSEGV)
        return actors.plan_source(source, settings, limit)

    options = {"num_cpus": 0.25, "max_retries": 0}
    monkeypatch.setattr(fleet, "_DECODE", ray.remote(**options)(decode))
    monkeypatch.setattr(fleet, "_PLAN", ray.remote(**options)(plan))
    out = tmp_path / "out"
    summary = run_extract(
        [str(tmp_path / "videos")], str(out), quick_settings(batch_clips=4), factory=stub()
    )
    found = {Path(f["source"]).stem: f for f in failures(out)}
    assert {name: (f["stage"], f["error"], f["attempts"]) for name, f in found.items()} == {
        "bad-clip": ("decode", "WorkerCrashedError", 3),
        "bad-file": ("plan", "WorkerCrashedError", 3),
    }
    assert (summary.clips, summary.deaths) == (2, 0)
