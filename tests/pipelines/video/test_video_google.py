"""Videos in Google's storage: what they cost to read, and what becomes of faults on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.video import (
    ClipSettings,
    SourceError,
    VideoError,
    expand_sources,
    opening,
    plan_clips,
    read_clip,
)
from tests.google_faults import Fault, Request, deny, storm
from tests.google_storage import GoogleStorage, serving
from tests.pipelines.video.video_makers import write_frames
from trajectories import backoff

SETTINGS = ClipSettings(num_frames=8, size=64, cut_threshold=None)
URL = "gs://in/a.mp4"


@pytest.fixture(scope="module")
def server() -> Iterator[GoogleStorage]:
    with serving(page=3) as google:
        yield google


@pytest.fixture
def google(server: GoogleStorage, monkeypatch: pytest.MonkeyPatch) -> GoogleStorage:
    """The server with a video whose index lies at its end; nothing waits before another try."""
    import gcsfs.retry

    async def soon(seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(gcsfs.retry, "asyncio", SimpleNamespace(sleep=soon))
    monkeypatch.setattr(backoff.time, "sleep", lambda seconds: None)
    server.empty()
    server.reset()
    return server


@pytest.fixture
def video(google: GoogleStorage, tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(96))
    path = write_frames(tmp_path / "a.mp4", frames, gop=12)
    assert path.stat().st_size > 500_000
    assert path.read_bytes().index(b"moov") > path.read_bytes().index(b"mdat")
    google.put("in", "a.mp4", path.read_bytes())
    return path


def test_a_clip_costs_few_requests(
    google: GoogleStorage, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With blocks so small that the video has many: head, index and the clip's own."""
    size = video.stat().st_size
    block = size // 20
    monkeypatch.setattr(opening, "_BLOCK", block)
    specs = plan_clips(URL, SETTINGS).specs
    # The whole video once; its ends again where they were pushed out of memory.
    assert google.counts()["meta"] == 1
    assert google.counts()["get"] <= -(-size // block) + 3
    assert len(specs) == 12
    google.reset()
    middle = read_clip(specs[6])
    assert google.counts()["list"] == 0
    assert google.counts()["meta"] == 1
    assert google.counts()["get"] <= 8
    assert google.bytes_sent < size / 2
    local = plan_clips(str(video), SETTINGS).specs[6]
    np.testing.assert_array_equal(middle, read_clip(local))


@pytest.mark.parametrize("seed", range(3))
def test_faults_on_the_way_change_no_pixel(
    google: GoogleStorage, video: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_BLOCK", 2**16)
    google.reset(storm(seed, 0.3))
    there = plan_clips(URL, SETTINGS)
    here = plan_clips(str(video), SETTINGS)
    assert there.error is None
    assert [s.info.start_s for s in there.specs] == [s.info.start_s for s in here.specs]
    for ours, theirs in list(zip(here.specs, there.specs, strict=True))[::4]:
        np.testing.assert_array_equal(read_clip(ours), read_clip(theirs))
    assert google.faults_met > 5


@pytest.mark.parametrize("fault, transient, message", [
    (Fault("refuse", 403), False, "roles/storage.objectViewer on gs://in"),
    (Fault("refuse", 401), False, "gcloud auth application-default login"),
    (Fault("refuse", 404), False, "no such file"),
    (Fault("refuse", 503), True, "run again later"),
    (Fault("drop"), True, "run again later"),
])  # fmt: skip
def test_what_keeps_a_video_from_being_opened(
    google: GoogleStorage, video: Path, fault: Fault, transient: bool, message: str
) -> None:
    google.reset(lambda request: fault)
    with pytest.raises(VideoError) as caught:
        plan_clips(URL, SETTINGS)
    error = caught.value
    assert (error.stage, error.transient) == ("open", transient)
    assert message in error.message
    assert str(error).count("gs://in/a.mp4") == 1


def test_a_store_that_goes_away_in_the_middle_is_transient(
    google: GoogleStorage, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_BLOCK", 2**16)

    def plan(request: Request) -> Fault | None:
        return Fault("cut") if google.counts()["get"] > 5 else None

    google.reset(plan)
    with pytest.raises(VideoError, match="the file store broke off") as caught:
        plan_clips(URL, SETTINGS)
    assert caught.value.transient


def test_folders_and_patterns_are_listed_once(google: GoogleStorage) -> None:
    names = [f"films/{n % 2}/v{n}.mp4" for n in range(8)]
    for name in [*names, "films/notes.txt", "other.mp4"]:
        google.put("in", name, b"")
    wanted = sorted(f"gs://in/{name}" for name in names)
    pages = -(-9 // 3)
    for given, lists in (("gs://in/films/**/*.mp4", pages), ("gs://in/films", pages + 1)):
        google.reset()
        assert expand_sources([given]) == wanted
        assert google.counts()["list"] <= lists
    google.put("in", "films/new.mp4", b"")
    assert len(expand_sources(["gs://in/films"])) == 9
    google.reset(deny("in", "list", "meta"))
    with pytest.raises(SourceError, match=r"gs://in/films/\*: .*storage\.objects\.list"):
        expand_sources(["gs://in/films/*"])


def test_a_manifest_beside_its_videos(google: GoogleStorage) -> None:
    google.put("in", "films/list.txt", b"a.mp4\n# no more\n")
    google.put("in", "films/list.csv", b"name,video\nb,sub/b.mp4\n")
    assert expand_sources(["gs://in/films/list.txt", "gs://in/films/list.csv"]) == [
        "gs://in/films/a.mp4",
        "gs://in/films/sub/b.mp4",
    ]
    with pytest.raises(SourceError, match=r"gs://in/none\.txt: no such manifest"):
        expand_sources(["gs://in/none.txt"])


def test_a_listing_is_tried_again_longer_than_gcsfs_tries(google: GoogleStorage) -> None:
    google.put("in", "films/a.mp4", b"")
    google.reset(lambda request: Fault("refuse") if len(google.requests) <= 9 else None)
    assert expand_sources(["gs://in/films/*.mp4"]) == ["gs://in/films/a.mp4"]


def test_an_address_is_read_without_asking_for_the_bucket(google: GoogleStorage) -> None:
    found: Any = expand_sources(["gs://in/a.mp4", "gs://in/b.mp4"])
    assert found == ["gs://in/a.mp4", "gs://in/b.mp4"]
    assert google.requests == []
