"""One Ray for all tests of this folder, small videos with known content, and their settings."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

sys.path.insert(0, str(Path(__file__).parent))

import stub_tracker
from extract_archive import Archive, digests

from pipelines.extract import ExtractSettings, TrackerFactory, run_extract, settings_from_dict
from pipelines.extract.cluster import Cluster, ray_cluster
from pipelines.video import write_video
from tests.google_storage import GoogleStorage, serving

stub_tracker.ship()

QUICK = {"grid": 4, "shard_clips": 4, "clip": {"size": 32, "num_frames": 6}}


@pytest.fixture(scope="session")
def google_server() -> Iterator[GoogleStorage]:
    """A Google storage of the tests' own."""
    with serving() as google:
        yield google


@pytest.fixture(scope="session")
def cluster(google_server: GoogleStorage) -> Iterator[Cluster]:
    """A Ray of the tests' own, started once: it takes seconds. Its workers inherit the storage."""
    with ray_cluster(None, object_store_mb=200) as made:
        yield made


@pytest.fixture(scope="session")
def quick_settings() -> Callable[..., ExtractSettings]:
    """Small clips and grids; keyword arguments change settings."""

    def make(**values: Any) -> ExtractSettings:
        return settings_from_dict(values, settings_from_dict(QUICK))

    return make


@pytest.fixture
def stub() -> Callable[..., TrackerFactory]:
    """Makes factories of stub trackers."""
    return lambda **values: functools.partial(stub_tracker.StubTracker, **values)


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes a video of one brightness: `make_video("a", level=100, frames=13)`."""

    def make(name: str, level: int = 100, frames: int = 13) -> Path:
        folder = tmp_path / "videos"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.mp4"
        frame = np.full((48, 64, 3), level, np.uint8)
        write_video(path, [frame] * frames, 12)
        return path

    return make


@pytest.fixture(scope="session")
def archive(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Six videos and a file that is none, 24 clips, extracted once without disturbance."""
    folder = tmp_path_factory.mktemp("archive")
    for i in range(6):
        frame = np.full((48, 64, 3), 35 * i, np.uint8)
        write_video(folder / f"v{i}.mp4", [frame] * (6 * (i + 1) + 9), 12)
    (folder / "text.mp4").write_text("no video")
    settings = settings_from_dict(
        {"shard_clips": 3, "sources_per_bucket": 3}, settings_from_dict(QUICK)
    )
    out = tmp_path_factory.mktemp("calm") / "out"
    factory = functools.partial(stub_tracker.StubTracker)
    summary = run_extract([str(folder / "*.mp4")], str(out), settings, factory=factory)
    return Archive(folder, settings, summary.clips, summary.shards, digests(out))


@pytest.fixture(name="digests")
def digests_fixture() -> Callable[[Path], Mapping[str, str]]:
    return digests


@pytest.fixture
def no_leftovers(cluster: Cluster) -> Iterator[None]:
    """Fails when a test leaves actors of a run behind."""
    yield
    names = [entry["name"] for entry in ray.util.list_named_actors(all_namespaces=True)]
    assert [name for name in names if name.startswith("run-")] == []
