"""The whole extraction on a local Ray with a tracker whose answer is known."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stub_tracker

import trajectories
from pipelines.extract import (
    ExtractError,
    ExtractSettings,
    PoolError,
    Snapshot,
    TrackerFactory,
    run_extract,
)
from pipelines.video import SourceError, plan_clips, read_clip
from trajectories import DatasetError

Settings = Callable[..., ExtractSettings]
Stub = Callable[..., TrackerFactory]
MakeVideo = Callable[..., Path]
Digests = Callable[[Path], Mapping[str, str]]

pytestmark = pytest.mark.usefixtures("cluster", "no_leftovers")


def test_tracks_are_those_of_the_tracker_for_every_clip(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub
) -> None:
    videos = [make_video(f"v{i}", level=40 + 50 * i, frames=13 + 6 * i) for i in range(3)]
    seen: list[Snapshot] = []
    settings = quick_settings(batch_clips=2)
    summary = run_extract(
        [str(tmp_path / "videos")],
        str(tmp_path / "out"),
        settings,
        factory=stub(seconds=0.1),
        progress=seen.append,
    )
    dataset = trajectories.open_dataset(tmp_path / "out")
    specs = [spec for video in videos for spec in plan_clips(str(video), settings.clip).specs]
    assert [len(plan_clips(str(v), settings.clip).specs) for v in videos] == [2, 3, 4]
    assert {clip.info for clip in dataset} == {spec.info for spec in specs}
    for spec in specs:
        clip = dataset.clip(spec.info.clip_id)
        expected = stub_tracker.expected_tracks(read_clip(spec), clip.queries)
        np.testing.assert_allclose(clip.tracks, expected, atol=1 / 127)
        # The tracker's logit of -2, in the dataset's four bits.
        np.testing.assert_allclose(clip.uncertainty, 1 / (1 + np.e**2), atol=1 / 29)
        assert clip.visible.all()
        assert (clip.queries[0] == [0, 4, 4]).all()  # centre of the first of 4 x 4 cells of 32 px
    assert (summary.sources, summary.clips, summary.tracks) == (3, 9, 9 * 16)
    assert (summary.failures, summary.shards) == (0, 3)
    assert summary.bytes == sum(r.bytes for r in dataset.shards.values())
    assert summary.stage_seconds["track"] >= 0.9
    assert 0.3 < summary.busy_share <= 1
    assert summary.succeeded(strict=True)
    assert "clips     9" in summary.text()
    assert seen
    assert seen[-1].clips_done <= 9
    assert dataset.spec.weights_digest == "stub-1"


def test_bad_videos_are_rows_and_the_others_are_unharmed(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub
) -> None:
    make_video("good", frames=13)
    make_video("one-frame", frames=1)
    folder = tmp_path / "videos"
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("I am no video\n" * 100)
    whole = make_video("whole", frames=40).read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    inputs = [str(path) for path in sorted(folder.iterdir())]
    summary = run_extract(inputs, str(tmp_path / "out"), quick_settings(), factory=stub())
    dataset = trajectories.open_dataset(tmp_path / "out")
    failures = {Path(f["source"]).name: f for f in dataset.failures().to_pylist()}
    assert set(failures) == {"one-frame.mp4", "empty.mp4", "text.mp4", "cut.mp4", "gone.mp4"}
    for failure in failures.values():
        assert failure["stage"] in ("open", "plan", "decode")
        assert failure["message"]
        assert failure["clip_id"] is None
    assert {Path(clip.info.source).name for clip in dataset} == {"good.mp4", "whole.mp4"}
    assert summary.clips == 2 + 6
    assert summary.failures_by_error == {"VideoError": 5}
    assert summary.succeeded()
    assert not summary.succeeded(strict=True)


def test_nothing_but_bad_videos_is_no_success(
    tmp_path: Path, quick_settings: Settings, stub: Stub
) -> None:
    (tmp_path / "a.mp4").write_text("no")
    summary = run_extract(
        [str(tmp_path / "a.mp4")], str(tmp_path / "out"), quick_settings(), factory=stub()
    )
    assert (summary.clips, summary.failures) == (0, 1)
    assert not summary.succeeded()


def test_a_second_run_skips_everything_and_new_videos_are_added(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub, digests: Digests
) -> None:
    out = tmp_path / "out"
    a = make_video("a")
    run_extract([str(a)], str(out), quick_settings(), factory=stub())
    before = digests(out)
    again = run_extract([str(a)], str(out), quick_settings(), factory=stub())
    assert digests(out) == before
    assert (again.clips, again.skipped_clips, again.total_clips) == (0, 2, 2)
    assert again.seconds < 2  # no Ray is started for nothing
    assert again.succeeded(strict=True)
    b = make_video("b")
    added = run_extract([str(a), str(b)], str(out), quick_settings(), factory=stub())
    assert (added.clips, added.skipped_clips) == (2, 2)
    assert {k: v for k, v in digests(out).items() if k in before} == before
    assert len(trajectories.open_dataset(out)) == 4


def test_bytes_do_not_depend_on_actors_batches_or_buckets_in_flight(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub, digests: Digests
) -> None:
    for i in range(6):
        make_video(f"v{i}", level=30 * i, frames=7 + 6 * i)
    inputs = [str(tmp_path / "videos")]
    ways: list[dict[str, Any]] = [
        {"num_actors": 1, "in_flight": 1},
        {"num_actors": 2, "in_flight": 4, "batch_clips": 3},
    ]
    found = []
    for number, way in enumerate(ways):
        out = tmp_path / f"out{number}"
        settings = quick_settings(sources_per_bucket=2, **way)
        run_extract(inputs, str(out), settings, factory=stub(seconds=0.01))
        found.append(digests(out))
    assert found[0] == found[1]
    assert len(found[0]) > 10


def test_other_settings_or_weights_are_refused_with_the_difference(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub, digests: Digests
) -> None:
    out = tmp_path / "out"
    video = make_video("a")
    run_extract([str(video)], str(out), quick_settings(), factory=stub())
    before = digests(out)
    with pytest.raises(DatasetError, match=r"grid.*4.*5"):
        run_extract([str(video)], str(out), quick_settings(grid=5), factory=stub())
    other = make_video("b")
    with pytest.raises(DatasetError, match=r"stub-1.*stub-2"):
        run_extract([str(other)], str(out), quick_settings(), factory=stub(weights_digest="stub-2"))
    # How a run goes is free to differ.
    assert digests(out).keys() - {"inputs/0001.parquet"} == before.keys()
    run_extract([str(video)], str(out), quick_settings(num_actors=2), factory=stub())


def test_source_changed_after_a_kill_keeps_the_recorded_plan(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub
) -> None:
    out = tmp_path / "out"
    video, steady = make_video("a", frames=13), make_video("b", frames=13)
    run_extract([str(video), str(steady)], str(out), quick_settings(shard_clips=2), factory=stub())
    # As if killed before the shard of the second video was committed; then the first one vanished.
    receipts = trajectories.committed_shards(out)
    last = next(name for name, r in receipts.items() if str(steady) in r.sources)
    (out / "commits" / f"{last}.json").unlink()
    video.unlink()
    summary = run_extract([], str(out), quick_settings(shard_clips=2), factory=stub())
    assert (summary.clips, summary.skipped_clips, summary.failures) == (2, 2, 0)
    assert set(trajectories.committed_shards(out)) == set(receipts)


def test_clear_refusals(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub
) -> None:
    with pytest.raises(ExtractError, match="no videos given"):
        run_extract([], str(tmp_path / "new"), quick_settings())
    with pytest.raises(SourceError, match="nowhere"):
        run_extract([str(tmp_path / "nowhere" / "*.mp4")], str(tmp_path / "new"), quick_settings())
    video = make_video("a")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file.txt").write_text("mine")
    with pytest.raises(DatasetError, match="holds other files"):
        run_extract([str(video)], str(tmp_path / "other"), quick_settings(), factory=stub())
    with pytest.raises(PoolError, match="do not fit"):
        run_extract(
            [str(video)], str(tmp_path / "new"), quick_settings(num_actors=999), factory=stub()
        )
    assert not (tmp_path / "new").exists()


def test_a_tracker_that_cannot_be_loaded_is_one_line(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings
) -> None:
    def broken() -> Any:
        raise FileNotFoundError("no weights at nowhere.pt: give another --checkpoint")

    with pytest.raises(PoolError) as caught:
        run_extract([str(make_video("a"))], str(tmp_path / "out"), quick_settings(), factory=broken)
    assert str(caught.value).startswith("the tracker cannot be loaded: ")
    assert "no weights at nowhere.pt" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_object_stores_work_like_folders(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub
) -> None:
    video = make_video("a")
    url = f"memory://tapirus-{tmp_path.name}"
    summary = run_extract([str(video)], url, quick_settings(), factory=stub())
    assert summary.clips == 2
    assert len(trajectories.open_dataset(url)) == 2
    again = run_extract([str(video)], url, quick_settings(), factory=stub())
    assert again.skipped_clips == 2


def test_reference_clips(
    tmp_path: Path, shared_data: Path, quick_settings: Settings, stub: Stub
) -> None:
    videos = sorted((shared_data / "videos" / "train_256").rglob("*.mp4"))[:3]
    assert videos  # the folder is there: without clips in it this test would show nothing
    settings = dataclasses.replace(quick_settings(), grid=16)
    inputs = [shutil.copy(video, tmp_path / video.name) for video in videos]
    summary = run_extract([str(p) for p in inputs], str(tmp_path / "out"), settings, factory=stub())
    assert summary.clips >= 3
    assert summary.failures == 0
