"""A fault at the first point where one may happen, at the second, and so on until none is left.

Whatever fails, the dataset ends as that of a run in which nothing did: at once where the run lives
on, and after starting it again where it does not.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import random
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extract_archive import digests
from fake_ray import EFFECTS, Faults, World, pretending

import trajectories
from pipelines.extract import (
    ExtractError,
    ExtractSettings,
    coordinator,
    open_shards,
    run_extract,
    settings_from_dict,
)
from pipelines.extract.actors import plan_source
from pipelines.extract.planning import PlannedSource
from pipelines.video import write_video
from trajectories import StorageError, committed_shards, leasing, open_dataset
from trajectories.errors import refused
from trajectories.storage import LocalStorage

Settings = Callable[..., ExtractSettings]


@dataclass(frozen=True)
class Small:
    """A few videos, and the dataset that an undisturbed run makes of them."""

    folder: Path
    plans: dict[str, PlannedSource]
    settings: ExtractSettings
    digests: Mapping[str, str]

    def run(self, out: Path, faults: Faults | None = None, seed: int = 0, **changes: Any) -> World:
        """One run, of two trackers; returns the world it ran in."""
        world = World(self.plans, 2, faults or Faults(), seed)
        settings = dataclasses.replace(self.settings, **changes)
        with pretending(world):
            run_extract([str(self.folder / "*.mp4")], str(out), settings)
        return world

    def check(self, out: Path, label: str) -> None:
        assert digests(out) == self.digests, label


def make_small(folder: Path, videos: int, out: Path) -> Small:
    """Video n has n + 1 clips; one more file is no video."""
    folder.mkdir()
    for number in range(videos):
        frame = np.full((48, 64, 3), 20 * (number + 1), np.uint8)
        write_video(folder / f"v{number}.mp4", [frame] * (6 * number + 7), 12)
    (folder / "v9.mp4").write_text("no video")
    settings = settings_from_dict({
        "grid": 4,
        "shard_clips": 2,
        "sources_per_bucket": 3,
        "batch_clips": 2,
        "in_flight": 2,
        "clip": {"size": 32, "num_frames": 6},
    })  # fmt: skip
    plans = {}
    for path in sorted(folder.iterdir()):
        planned = plan_source(str(path), settings.clip)
        assert isinstance(planned, PlannedSource)
        plans[str(path)] = planned
    calm = Small(folder, plans, settings, {})
    calm.run(out)
    dataset = open_dataset(out)
    assert len(list(dataset)) == videos * (videos + 1) // 2
    assert [row["source"] for row in dataset.failures().to_pylist()] == [str(folder / "v9.mp4")]
    return dataclasses.replace(calm, digests=digests(out))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Ten clips in two buckets."""
    root = tmp_path_factory.mktemp("small")
    made = make_small(root / "videos", 4, root / "out")
    assert len(list((root / "out" / "commits").iterdir())) >= 5
    return made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Three clips in two shards."""
    root = tmp_path_factory.mktemp("tiny")
    made = make_small(root / "videos", 2, root / "out")
    assert len(list((root / "out" / "commits").iterdir())) == 2
    return made


@pytest.mark.parametrize("effect", EFFECTS)
def test_one_fault_anywhere_on_the_cluster_changes_nothing(
    tmp_path: Path, small: Small, effect: str
) -> None:
    nth = 0
    while True:
        nth += 1
        faults = Faults(nth, effect)
        small.run(tmp_path / str(nth), faults)
        small.check(tmp_path / str(nth), f"{effect} at point {nth}")
        if not faults.fired:
            break
    # Two greetings; five videos planned; ten clips decoded and tracked; batches answered.
    assert nth > 2 + 5 + 10 + 10 + 5


@pytest.mark.parametrize("block", range(4))
def test_storms_of_faults_change_nothing(tmp_path: Path, small: Small, block: int) -> None:
    for seed in range(15 * block, 15 * (block + 1)):
        faults = Faults(chance=0.1, rng=random.Random(seed))
        small.run(tmp_path / str(seed), faults, seed, max_attempts=50, batch_clips=1 + seed % 4)
        small.check(tmp_path / str(seed), f"seed {seed}")


class Killed(BaseException):
    """The process ends here: nothing is tidied up, nothing more reaches the disk."""


class BadDisk:
    """Lets calls of the storage through until the nth, which is refused, or ends the process."""

    CALLS = ("stage", "publish", "create", "read_many", "list_files", "remove", "entries", "has")

    def __init__(self, patch: pytest.MonkeyPatch, nth: int, mode: str) -> None:
        self.nth, self.mode, self.calls = nth, mode, 0
        for name in self.CALLS:
            patch.setattr(LocalStorage, name, self._wrap(name, getattr(LocalStorage, name)))

    @property
    def fired(self) -> bool:
        return self.calls >= self.nth

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls < self.nth or (self.calls > self.nth and "killed" not in self.mode):
                return call(*arguments)
            if self.calls == self.nth and "after" in self.mode:
                call(*arguments)  # it happened, but nobody hears of it
            if "killed" in self.mode:
                raise Killed
            number = errno.ENOSPC if name in ("stage", "create") else errno.EIO
            raise refused("use", "the disk", OSError(number, os.strerror(number)))

        return wrapped


def ended_by(small: Small, out: Path) -> BaseException | None:
    """What a run ends with; None where all went well."""
    try:
        small.run(out)
    except (StorageError, ExtractError, Killed) as error:
        return error
    return None


@pytest.mark.parametrize("mode", ["refused", "refused after", "killed", "killed after"])
def test_a_fault_at_any_call_of_the_storage_and_the_run_goes_on_when_started_again(
    tmp_path: Path, tiny: Small, mode: str
) -> None:
    nth = 0
    while True:
        nth += 1
        out = tmp_path / str(nth)
        with pytest.MonkeyPatch.context() as patch:
            disk = BadDisk(patch, nth, mode)
            outcome = ended_by(tiny, out)
        if outcome is not None:
            assert isinstance(outcome, Killed) == ("killed" in mode)
            assert "\n" not in str(outcome)
            assert "the disk" in str(outcome) or isinstance(outcome, Killed)
        leasing._held.clear()  # a process that ends forgets what it held
        # Readers see whole shards or none, before anybody tidies up.
        if (out / "dataset.json").exists():
            dataset = open_dataset(out)
            assert len(list(dataset)) == len(dataset) == dataset.clips().num_rows
        tiny.run(out)
        tiny.check(out, f"{mode} at call {nth}")
        if not disk.fired:
            break
    assert nth > 60


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(5):
        rng = random.Random(seed)

        def jump(rng: random.Random = rng) -> float:
            return rng.uniform(-1e9, 4e9)

        fake = types.SimpleNamespace(time=jump, perf_counter=jump, monotonic=jump)
        with monkeypatch.context() as patch:
            patch.setattr(coordinator, "time", fake)
            patch.setattr(open_shards, "time", fake)
            small.run(tmp_path / str(seed))
        small.check(tmp_path / str(seed), f"seed {seed}")


def test_what_is_in_flight_and_in_memory_does_not_grow_with_the_queue(
    tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand clips wait; trackers are slow and the disk is slower."""
    template = next(iter(small.plans.values()))
    folder = tmp_path / "videos"
    folder.mkdir()
    plans = {}
    for number in range(400):
        source = str(folder / f"v{number % 10}{number:04d}.mp4")
        Path(source).touch()
        plans[source] = renamed(template, source)
    most: dict[str, int] = {"clips": 0, "shards": 0, "plans": 0}
    step = coordinator.Coordinator._step

    def watched(self: Any) -> None:
        step(self)
        held = sum(len(shard.clips) for shard in self._shards._shards.values())
        most["clips"] = max(most["clips"], held)
        most["shards"] = max(most["shards"], len(self._shards))
        most["plans"] = max(most["plans"], len(self._plans))

    monkeypatch.setattr(coordinator.Coordinator, "_step", watched)
    seen = {}
    for count in (40, 400):
        most.update(dict.fromkeys(most, 0))
        world = World(plans, 2, Faults(), frames=lambda spec: np.zeros((6, 32, 32, 3), np.uint8))
        with pretending(world):
            names = sorted(plans)[:count]
            run_extract(names, str(tmp_path / f"out{count}"), small.settings)
        # Two trackers, two batches of two clips each.
        assert world.most_in_flight <= 2 * 2 * 2
        seen[count] = dict(most)
        assert len(committed_shards(tmp_path / f"out{count}")) >= count // 3
    assert seen[400]["clips"] <= 24
    assert seen[400]["shards"] <= 12
    assert seen[400]["plans"] <= 4
    # How many there are at a time depends on the machine; that some were seen does not.
    assert seen[40]["shards"] >= 1


def renamed(planned: PlannedSource, source: str) -> PlannedSource:
    """The plan of another video like it."""
    import json
    import zlib

    specs = json.loads(zlib.decompress(planned.packed))
    for spec in specs:
        start, end = round(spec["info"]["start_s"] * 1e6), round(spec["info"]["end_s"] * 1e6)
        spec["info"] |= {
            "source": source,
            "clip_id": trajectories.clip_id(source, start, end),
        }
    packed = zlib.compress(json.dumps(specs).encode())
    return PlannedSource(source, planned.clips, packed, None)


@pytest.fixture(autouse=True)
def _no_lease_left() -> Iterator[None]:
    yield
    assert not leasing._held
