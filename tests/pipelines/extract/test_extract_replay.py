"""Running a clip again: what is said of one that works, fails, crashes or hangs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from ray import cloudpickle

import models
from pipelines.cli.main import cli
from pipelines.extract import ExtractSettings, TrackerFactory, settings_to_dict
from pipelines.extract.actors import plan_source
from pipelines.extract.inputs import Bucket
from pipelines.extract.planning import PlannedSource, ShardPlan, cut_shards, write_plan
from pipelines.extract.replay import find_case, replay
from pipelines.video import VideoError, read_video
from trajectories import (
    Dataset,
    DatasetError,
    DatasetSpec,
    Failure,
    ShardWriter,
    create_dataset,
    open_dataset,
)

Settings = Callable[..., ExtractSettings]
Stub = Callable[..., TrackerFactory]
MakeVideo = Callable[..., Path]

LEVEL = 100


@pytest.fixture
def dataset(tmp_path: Path, make_video: MakeVideo, quick_settings: Settings) -> Dataset:
    """Both clips of a good video, and a file that is none, stand among the failures."""
    settings = quick_settings()
    good = make_video("good", level=LEVEL, frames=13)
    text = tmp_path / "videos" / "it's none.mp4"
    text.write_text("no video")
    values = settings_to_dict(settings, "dataset")
    spec = DatasetSpec(tracker=values.pop("tracker"), weights_digest="stub-1", settings=values)
    made = create_dataset(tmp_path / "out", spec)
    planned = []
    for source in (good, text):
        result = plan_source(str(source), settings.clip)
        assert isinstance(result, PlannedSource)
        planned.append(result)
    plans = list(cut_shards(Bucket(0, 0), planned, settings.shard_clips))
    write_plan(made.storage, Bucket(0, 0), plans)
    for plan in plans:
        with ShardWriter(made.root, plan.name) as writer:
            writer.commit([*plan.failures, *failed(plan)])
    return open_dataset(made.root)


def failed(plan: ShardPlan) -> list[Failure]:
    return [
        Failure(
            spec.info.source,
            spec.info.clip_id,
            spec.info.start_s,
            spec.info.end_s,
            "track",
            "ActorDiedError",
            "gone",
            3,
        )
        for spec in plan.specs
    ]


def failed_ids(dataset: Dataset) -> list[str]:
    ids = dataset.failures().sort_by("start_s").column("clip_id").to_pylist()
    return [clip_id for clip_id in ids if clip_id is not None]


def test_a_clip_that_works_now_is_drawn(tmp_path: Path, dataset: Dataset, stub: Stub) -> None:
    case = find_case(dataset, failed_ids(dataset)[1][:8])
    assert case.spec is not None
    assert case.spec.info.start_s > 0
    assert case.failure is not None
    assert case.failure.attempts == 3
    path = tmp_path / "clip.mp4"
    stages = list(replay(dataset, case, factory=stub(), limit=60, write=str(path)))
    assert [(stage.name, stage.ok) for stage in stages] == [
        ("decode", True),
        ("load", True),
        ("track", True),
        ("encode", True),
        ("write", True),
    ]
    assert stages[0].text == "6 frames of 32 x 32"
    assert stages[1].text == "tapir-mini, the dataset's weights"
    assert stages[2].text == "16 tracks, visible 100% of the time"
    assert len(read_video(str(path)).frames) == 6


@pytest.mark.parametrize(
    "fault, stage, text",
    [
        ("dies_at", "track", "the process ended with exit code 11"),
        ("raises_at", "track", "FloatingPointError: this clip is poison"),
        ("lost_at", "encode", "ValueError: "),
        ("hangs_at", "track", "no end after"),
    ],
)
def test_a_clip_that_fails_again(
    dataset: Dataset, stub: Stub, fault: str, stage: str, text: str
) -> None:
    case = find_case(dataset, failed_ids(dataset)[0])
    limit = 8.0 if fault == "hangs_at" else 60.0
    stages = list(replay(dataset, case, factory=stub(**{fault: LEVEL}), limit=limit))
    assert (stages[-1].name, stages[-1].ok) == (stage, False)
    assert text in stages[-1].text
    assert all(earlier.ok for earlier in stages[:-1])


def test_a_tracker_killed_by_a_signal_is_named(dataset: Dataset) -> None:
    def broken() -> None:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGSEGV)

    case = find_case(dataset, failed_ids(dataset)[0])
    *_, last = replay(dataset, case, factory=broken, limit=60)
    assert (last.name, last.text) == ("load", "the process was killed by SIGSEGV")


def test_other_weights_than_the_datasets_are_said(dataset: Dataset, stub: Stub) -> None:
    case = find_case(dataset, failed_ids(dataset)[0])
    stages = list(replay(dataset, case, factory=stub(weights_digest="x"), limit=60))
    assert stages[1].text == "tapir-mini, OTHER weights"


def test_a_video_that_failed_as_a_whole_is_cut_again(dataset: Dataset) -> None:
    source = next(f["source"] for f in dataset.failures().to_pylist() if f["clip_id"] is None)
    case = find_case(dataset, source)
    assert case.spec is None
    (stage,) = replay(dataset, case, limit=60)
    assert (stage.name, stage.ok) == ("plan", False)
    assert stage.text.startswith("VideoError: ")


def test_without_a_recorded_plan_the_video_is_cut_again(tmp_path: Path, dataset: Dataset) -> None:
    clip_id = failed_ids(dataset)[1]
    recorded = find_case(dataset, clip_id)
    for plan in (tmp_path / "out" / "plans").iterdir():
        plan.unlink()
    assert find_case(dataset, clip_id) == recorded
    (tmp_path / "videos" / "good.mp4").unlink()
    with pytest.raises(VideoError, match=r"good\.mp4"):
        find_case(dataset, clip_id)


def test_unknown_and_ambiguous_names_are_refused(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="no clip 'zz'"):
        find_case(dataset, "zz")
    with pytest.raises(DatasetError, match="start of 2 failed clips"):
        find_case(dataset, "")


def test_the_command_says_what_happens_and_its_exit_code_tells(
    tmp_path: Path, dataset: Dataset, make_video: MakeVideo
) -> None:
    clip_id = failed_ids(dataset)[0]
    done = CliRunner().invoke(cli, ["replay", dataset.root, clip_id], standalone_mode=False)
    assert done.exception is None, done.output
    # The stub's digest stands in the dataset; the real tracker runs here.
    assert models.load_tracker("tapir-mini").weights_digest != "stub-1"
    assert done.return_value == 0
    lines = done.output.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [
        *("clip", "before", "decode", "load", "track", "encode", "result"),
    ]
    assert "failed 3 times at track: ActorDiedError: gone" in lines[1]
    assert "OTHER weights" in lines[3]
    assert "works now" in lines[-2]
    # Another video in its place: the clip cannot be read as it was.
    (tmp_path / "videos" / "good.mp4").write_text("no video")
    again = CliRunner().invoke(cli, ["replay", dataset.root, clip_id], standalone_mode=False)
    assert again.return_value == 1
    assert "FAILED: VideoError" in again.output
    assert again.output.splitlines()[-1].split() == ["result", "fails"]


def test_cases_travel_to_the_process(dataset: Dataset) -> None:
    case = find_case(dataset, failed_ids(dataset)[0])
    assert cloudpickle.loads(cloudpickle.dumps(case)) == case
    assert dataclasses.replace(case, failure=None) != case
