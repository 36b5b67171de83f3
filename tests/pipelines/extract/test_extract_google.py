"""A whole extraction from Google's storage into Google's storage, with and without faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.extract import ExtractSettings, ExtractSummary, TrackerFactory, run_extract
from tests.google_faults import Fault, calm, deny, storm
from tests.google_storage import GoogleStorage
from trajectories import StorageError, open_dataset

Settings = Callable[..., ExtractSettings]
Stub = Callable[..., TrackerFactory]
MakeVideo = Callable[..., Path]

OUT = "gs://out/tracks"


@pytest.fixture
def google(cluster: Any, no_leftovers: None, google_server: GoogleStorage) -> GoogleStorage:
    """The storage that Ray's workers know of, with two empty buckets and no faults."""
    google_server.empty()
    google_server.bucket("in")
    google_server.bucket("out")
    google_server.reset()
    return google_server


@pytest.fixture
def upload(google: GoogleStorage, make_video: MakeVideo) -> Callable[[int], Path]:
    """Makes so many videos, n + 1 clips in the one of number n % 4; they are in a bucket, too."""

    def make(count: int) -> Path:
        for number in range(count):
            path = make_video(f"v{number:02}", 20 * (number % 10) + 30, 6 * (number % 4) + 7)
            google.put("in", f"films/{number % 3}/{path.name}", path.read_bytes())
        return path.parent

    return make


def content(root: str | Path) -> list[dict[str, Any]]:
    """All rows of a dataset in an order of their own; sources by their last name."""
    dataset = open_dataset(root)
    rows = []
    for clip in dataset:
        row = {
            "source": clip.info.source.rpartition("/")[2],
            "start": clip.info.start_s,
            "tracks": clip.tracks.tolist(),
            "visible": clip.visible.tolist(),
            "uncertainty": clip.uncertainty.tolist(),
        }
        rows.append(row)
    return sorted(rows, key=lambda row: (row["source"], row["start"]))


def test_what_is_extracted_is_what_a_disk_gets(
    tmp_path: Path, google: GoogleStorage, upload: Any, quick_settings: Settings, stub: Stub
) -> None:
    folder = upload(6)
    google.put("in", "films/1/text.mp4", b"no video")
    google.put("in", "films/notes.txt", b"not looked at")
    settings = quick_settings(sources_per_bucket=3)
    here = run_extract([str(folder)], str(tmp_path / "out"), settings, factory=stub())
    google.reset()
    there = run_extract(["gs://in/**/*.mp4"], OUT, settings, factory=stub())
    assert (there.clips, there.tracks) == (here.clips, here.tracks) == (13, 13 * 16)
    assert content(OUT) == content(tmp_path / "out")
    failures = open_dataset(OUT).failures().to_pylist()
    assert [(row["source"], row["stage"]) for row in failures] == [
        ("gs://in/films/1/text.mp4", "open")
    ]
    before = google.bucket("out")
    again = run_extract(["gs://in/films"], OUT, settings, factory=stub())
    assert (again.clips, again.skipped_clips, again.total_clips) == (0, 13, 13)
    assert google.bucket("out") == before
    assert not [name for name in before if "lease" in name]


def test_requests_do_not_grow_faster_than_clips_and_shards(
    google: GoogleStorage, upload: Any, quick_settings: Settings, stub: Stub
) -> None:
    """Beats of the lease and the status come by the clock: they are not counted."""
    seen: dict[int, Counter[str]] = {}
    done: dict[int, ExtractSummary] = {}
    for count in (4, 16):
        google.empty()
        google.bucket("out")
        upload(count)
        google.reset()
        settings = quick_settings(sources_per_bucket=2, shard_clips=2)
        done[count] = run_extract(["gs://in/films/**"], OUT, settings, factory=stub())
        seen[count] = Counter()
        for request in google.requests:
            folder = request.name.removeprefix("tracks/").partition("/")[0]
            by_clock = folder in ("lease", "status.json")
            place = folder if by_clock or folder == "plans" else request.bucket
            seen[count][f"{request.kind} {place}"] += 1
    clips = done[16].clips - done[4].clips
    shards = done[16].shards - done[4].shards
    more = {key: seen[16][key] - seen[4][key] for key in seen[16]}
    print(f"\n{clips} clips in {shards} shards more, of 12 videos, cost {more}; all: {seen[16]}")
    assert clips == 30
    assert shards >= 15
    assert seen[16]["list in"] == seen[4]["list in"]
    assert seen[16]["list out"] == seen[4]["list out"]
    # Planned, and then each clip read, alone or with its neighbours: size of the video, one block.
    assert more["meta in"] == more["get in"]
    assert 12 < more["meta in"] <= 12 + clips
    # Three files of a shard, and its commit file; this is looked for first, and read in the end.
    assert more["insert out"] == 4 * shards
    assert more["get out"] <= 2 * shards + more["insert plans"]
    # A bucket's plan is looked for, written, and read back; its videos are read from the inputs.
    assert more["get plans"] == 2 * more["insert plans"]
    assert more["meta out"] == more["insert plans"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_of_faults_changes_nothing(
    google: GoogleStorage, upload: Any, quick_settings: Settings, stub: Stub, seed: int
) -> None:
    upload(6)
    settings = quick_settings(sources_per_bucket=3)
    run_extract(["gs://in/films"], OUT, settings, factory=stub())
    calm_bytes = without_status(google.bucket("out"))
    google.bucket("second")
    google.reset(storm(seed, 0.15))
    summary = run_extract(["gs://in/films"], "gs://second/tracks", settings, factory=stub())
    met, asked = google.faults_met, len(google.requests)
    google.reset()
    print(f"\n{met} of {asked} requests met a fault; {summary.seconds:.0f} s")
    assert met > 0.1 * asked
    assert (summary.failures, summary.clips) == (0, 13)
    assert without_status(google.bucket("second")) == calm_bytes


def without_status(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if not name.endswith("status.json")}


def test_videos_that_may_not_be_read_are_rows_beside_the_good_ones(
    google: GoogleStorage, upload: Any, quick_settings: Settings, stub: Stub
) -> None:
    upload(3)
    google.put("closed", "a.mp4", google.bucket("in")["films/0/v00.mp4"])
    google.reset(deny("closed", "get", "meta", "list"))
    inputs = ["gs://in/films", "gs://closed/a.mp4", "gs://nowhere/b.mp4"]
    summary = run_extract(inputs, OUT, quick_settings(), factory=stub())
    assert (summary.clips, summary.failures) == (6, 2)
    closed, nowhere = sorted(open_dataset(OUT).failures().to_pylist(), key=lambda r: r["source"])
    assert (closed["source"], closed["stage"], closed["attempts"]) == (
        "gs://closed/a.mp4",
        "open",
        1,
    )
    assert "roles/storage.objectViewer on gs://closed" in closed["message"]
    assert (nowhere["source"], nowhere["message"]) == ("gs://nowhere/b.mp4", "no such file")


def test_a_folder_that_may_not_be_listed_is_one_line(
    google: GoogleStorage, upload: Any, quick_settings: Settings, stub: Stub
) -> None:
    upload(1)
    google.reset(deny("in", "get", "meta", "list"))
    with pytest.raises(ValueError, match=r"gs://in/films/\*\*: .*storage.objects.list") as caught:
        run_extract(["gs://in/films/**"], OUT, quick_settings(), factory=stub())
    assert "\n" not in str(caught.value)
    assert google.bucket("out") == {}


@pytest.mark.parametrize("kinds", [("insert",), ("get", "meta"), ("list",)])
def test_output_without_rights_is_refused_before_ray_starts(
    google: GoogleStorage,
    upload: Any,
    quick_settings: Settings,
    stub: Stub,
    kinds: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipelines.extract import cluster

    upload(1)
    monkeypatch.delattr(cluster, "ray_cluster")
    google.reset(deny("out", *kinds))
    with pytest.raises(StorageError, match=r"cannot (read|write) gs://out/.*roles/storage\.object"):
        run_extract(["gs://in/films"], OUT, quick_settings(), factory=stub())
    google.reset(calm)
    assert google.bucket("out") == {}


def test_storage_that_fails_in_the_middle_ends_the_run_and_the_next_goes_on(
    google: GoogleStorage, upload: Any, quick_settings: Settings, stub: Stub
) -> None:
    """Rights that are taken away after the first shard."""
    upload(5)
    settings = quick_settings(sources_per_bucket=2, shard_clips=2)

    def plan(request: Any) -> Fault | None:
        committed = any("/commits/" in name for name in google.bucket("out"))
        denied = committed and request.kind == "insert" and "/points/" in request.name
        return Fault("refuse", 403) if denied else None

    google.reset(plan)
    with pytest.raises(Exception, match=r"cannot write gs://out/.*roles/storage\.objectUser"):
        run_extract(["gs://in/films"], OUT, settings, factory=stub())
    google.reset()
    kept = [name for name in google.bucket("out") if "/commits/" in name]
    assert kept
    summary = run_extract(["gs://in/films"], OUT, settings, factory=stub())
    assert summary.total_clips == 11
    assert summary.skipped_clips > 0
    google.bucket("second")
    run_extract(["gs://in/films"], "gs://second/tracks", settings, factory=stub())
    assert without_status(google.bucket("out")) == without_status(google.bucket("second"))
