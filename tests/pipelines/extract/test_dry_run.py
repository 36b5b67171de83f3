"""Trying out an extraction: what is checked, what is left behind, and whether the run agrees."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import trajectories
from pipelines.extract import ExtractError, ExtractSettings, TrackerFactory, run_extract
from pipelines.extract.dry_run import Check, dry_run
from pipelines.extract.estimate import Estimate, Prices, Quantity
from pipelines.extract.history import History
from pipelines.extract.kept import estimate_file, keep_estimate, kept_estimate
from pipelines.extract.logs import JsonLog
from pipelines.extract.metrics import metrics_text
from pipelines.extract.probes import probe_storage, require_space, whose_rights
from pipelines.extract.run_report import write_report
from pipelines.extract.sampling import apart
from pipelines.extract.status import read_status
from pipelines.video import plan_clips
from trajectories.storage import LocalStorage, Storage, connect

Settings = Callable[..., ExtractSettings]
Stub = Callable[..., TrackerFactory]
MakeVideo = Callable[..., Path]

PRICES = Prices(cpu_hour=0.5, gb_month=0.02)


# -- probes


@pytest.mark.parametrize("there", [True, False])
def test_the_probe_leaves_nothing_behind(tmp_path: Path, there: bool) -> None:
    root = tmp_path / "a" / "b"
    if there:
        root.mkdir(parents=True)
        (root / "mine.txt").write_text("x")
    assert "written, read and removed" in probe_storage(connect(root))
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))
    assert left == (["a", "a/b", "a/b/mine.txt"] if there else [])


def test_the_probe_of_an_object_store(tmp_path: Path) -> None:
    storage = connect(f"memory://probe-{tmp_path.name}")
    probe_storage(storage)
    assert storage.list_files("") == []


def test_storage_that_gives_back_something_else_is_refused(tmp_path: Path) -> None:
    class Odd(LocalStorage):
        def read_many(self, names: Any) -> dict[str, bytes]:
            return {name: b"odd" for name in names}

    with pytest.raises(ExtractError, match="gives back other bytes"):
        probe_storage(Odd(str(tmp_path)))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="cannot write"):
        probe_storage(connect(tmp_path / "file" / "out"))


def test_room_on_the_disk(tmp_path: Path) -> None:
    zero = Quantity(0.0, 0.0)

    def need(size: float) -> Estimate:
        sized = Quantity(size, 0.0)
        return Estimate(zero, zero, zero, zero, zero, sized, zero, zero, 1.0, 1, 1, PRICES)

    storage = LocalStorage(str(tmp_path / "new" / "deep"))
    assert "free" in require_space(storage, need(1.0))
    with pytest.raises(ExtractError, match=r"make room, or write elsewhere"):
        require_space(storage, need(1e18))


def test_whose_rights() -> None:
    assert whose_rights("/data/x") == whose_rights("file:///data/x") == "local files"
    assert whose_rights("memory://x") == "memory: as fsspec has it"


# -- the sample


def test_clips_are_taken_from_all_videos_and_apart(make_video: MakeVideo) -> None:
    from pipelines.video import ClipSettings

    cut = ClipSettings(num_frames=6, size=32)
    long, short = (
        list(plan_clips(str(make_video(name, frames=frames)), cut).specs)
        for name, frames in (("long", 54), ("short", 6))
    )
    assert (len(long), len(short)) == (9, 1)
    chosen = apart([long, short], 4)
    # The middles of the two halves of the long one, and the short one's only clip once.
    assert chosen == [long[2], short[0], long[6]]
    assert apart([], 4) == []


# -- where the estimate is kept


def test_an_estimate_lies_beside_its_dataset(tmp_path: Path) -> None:
    assert estimate_file("out/tracks/") == "out/tracks.estimate.json"
    assert estimate_file("gs://bucket/a/tracks") == "gs://bucket/a/tracks.estimate.json"
    assert estimate_file("gs://bucket") is None
    one = Quantity(1.0, None)
    made = Estimate(one, one, one, one, one, one, one, one, 1.0, 1, 1, PRICES)
    for url in (str(tmp_path / "x.estimate.json"), f"memory://e-{tmp_path.name}/x.estimate.json"):
        assert kept_estimate(url) is None
        keep_estimate(made, url)
        assert kept_estimate(url) == made


# -- the whole, on a small Ray


@pytest.fixture
def calm(cluster: Any, no_leftovers: None) -> None:
    """Ray is up, and no actor is left at the end."""


@pytest.mark.usefixtures("calm")
def test_a_dry_run_and_the_run_that_follows(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub
) -> None:
    for i in range(3):
        make_video(f"v{i}", level=40 + 50 * i, frames=13 + 6 * i)
    (tmp_path / "videos" / "bad.mp4").write_text("no video")
    inputs, out = [str(tmp_path / "videos")], tmp_path / "out"
    settings, factory = quick_settings(), stub(seconds=0.05, raises_at=140)
    said: list[Check] = []
    calm_factory = stub(seconds=0.05)
    tried = dry_run(inputs, str(out), settings, PRICES, 4, calm_factory, said.append)
    assert tried.ok, said
    assert said == tried.checks
    names = ["inputs", "dataset", "storage", "rights", "cluster", "sample", "tracker", "space"]
    assert [check.name for check in said] == names
    assert not out.exists()
    made = tried.estimate
    assert made is not None
    # All four videos were in the sample: there is no doubt of their clips.
    assert made.clips == Quantity(9.0, 0.0)
    assert made.failed_videos.value == 1
    assert made.wall_seconds.value >= 9 * 0.05
    assert 16 / 0.5 < made.tracks_per_second < 16 / 0.05
    assert made.money.value == pytest.approx(0.5 * made.cpu_hours.value)

    history, stream = History(), io.StringIO()
    summary = run_extract(
        inputs,
        str(out),
        settings,
        factory=factory,
        observers=[history, JsonLog(stream, every=0.1)],
        estimate=made,
    )
    assert summary.estimate == made
    # Four of the nine clips cannot be tracked.
    assert "estimate  clips 5 of 9, time" in summary.text()
    # Of clips of 16 tracks most bytes are the files' own, and other clips share them.
    assert 0.3 < summary.bytes / (made.bytes.value * 5 / 9) < 3
    assert summary.light is not None
    assert summary.light.alone
    assert summary.light.ratio + sum(summary.light.losses.values()) == pytest.approx(1.0)
    assert 0 < summary.light.ratio <= 1.1
    _check_log(stream.getvalue(), out)
    _check_status(connect(out))
    assert history.last is not None
    assert "tapirus_clips_total 5\n" in metrics_text(history.run, history.last)
    where = write_report(history)
    assert where is not None
    page = Path(where).read_text()
    assert page.count("data:image/jpeg") == 4
    assert "this clip is poison" in page

    # Nothing is left to do, and the dry run says so before it asks for a cluster's help.
    again = dry_run(inputs, str(out), settings, PRICES, 4, calm_factory)
    assert again.estimate is None
    assert again.checks[0].text == "0 videos to do, 4 are done"


def _check_log(text: str, out: Path) -> None:
    """Every failure of the dataset is a line with the clip's id, every shard is one."""
    lines = [json.loads(line) for line in text.splitlines()]
    kinds = [line["event"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("start", "end")
    dataset = trajectories.open_dataset(out)

    def rows(items: Any) -> list[tuple[Any, ...]]:
        keys = ("clip_id", "source", "stage", "error", "message", "attempts")
        return sorted(tuple(str(item[key]) for key in keys) for item in items)

    failed = [line for line in lines if line["event"] in ("clip_failed", "video_failed")]
    assert rows(failed) == rows(dataset.failures().to_pylist())
    assert len(failed) == 5
    assert kinds.count("attempt_failed") == 4 * 3
    shards = {line["shard"]: line["clips"] for line in lines if line["event"] == "shard"}
    assert shards == {name: receipt.clips for name, receipt in dataset.shards.items()}
    assert {"plan", "actor_ready", "progress"} <= set(kinds)


def _check_status(storage: Storage) -> None:
    status = read_status(storage)
    assert status is not None
    assert status.state == "done"
    snapshot = status.snapshot
    assert (snapshot.clips_done, snapshot.clips_committed, snapshot.failures) == (5, 5, 5)
    assert set(snapshot.queues.values()) <= {0}


@pytest.mark.usefixtures("calm")
def test_everything_that_is_wrong_is_told_at_once(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "text.mp4").write_text("no video")
    tried = dry_run(
        [str(tmp_path / "text.mp4")],
        str(tmp_path / "file" / "out"),
        quick_settings(),
        PRICES,
        factory=stub(),
    )
    failed: Mapping[str, str] = {check.name: check.text for check in tried.checks if not check.ok}
    assert not tried.ok
    assert tried.estimate is None
    assert "cannot write" in failed["storage"]
    assert failed["sample"].startswith("no clip in 1 of 1 videos")
    assert {check.name for check in tried.checks if check.ok} >= {"inputs", "cluster"}


@pytest.mark.usefixtures("calm")
def test_a_tracker_that_fails_is_told(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings, stub: Stub
) -> None:
    video = make_video("a", level=100)
    for factory, words in (
        (stub(raises_at=100), "FloatingPointError: this clip is poison"),
        (stub(dies_at=100), "the tracker fails"),
    ):
        tried = dry_run([str(video)], str(tmp_path / "out"), quick_settings(), PRICES, 1, factory)
        assert tried.checks[-1].name == "tracker"
        assert words in tried.checks[-1].text
        assert tried.estimate is None


@pytest.mark.usefixtures("calm")
def test_other_settings_than_the_datasets_are_told(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings
) -> None:
    from pipelines.extract.job import dataset_spec

    out = tmp_path / "out"
    trajectories.create_dataset(out, dataset_spec(quick_settings()))
    settings = quick_settings(grid=5, num_actors=999)
    tried = dry_run([str(make_video("a"))], str(out), settings, PRICES)
    texts = {check.name: check.text for check in tried.checks if not check.ok}
    assert "grid: there 4, now 5" in texts["dataset"]
    assert list(out.iterdir()) == [out / "dataset.json"]
