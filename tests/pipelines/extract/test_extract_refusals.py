"""What is refused before Ray starts, each in one line that says what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from extract_archive import digests

from pipelines.extract import ExtractError, ExtractSettings, job, run_extract, settings_to_dict
from pipelines.extract.launch import check_beam_options
from trajectories import DatasetError, DatasetSpec, LeaseError, StorageError, create_dataset
from trajectories.leasing import hold_lease
from trajectories.storage import connect

Settings = Callable[..., ExtractSettings]
MakeVideo = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*arguments: Any) -> None:
        raise AssertionError("Ray would have been started")

    monkeypatch.setattr(job, "_on_cluster", started)


def refusal(kind: type[Exception], *arguments: Any, **named: Any) -> str:
    with pytest.raises(kind) as caught:
        run_extract(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_second_run_into_a_dataset(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings
) -> None:
    video, out = str(make_video("a")), tmp_path / "out"
    with hold_lease(connect(out)) as first:
        text = refusal(LeaseError, [video], str(out), quick_settings())
        assert f"{out} is being written by process {os.getpid()} on " in text
        assert "--take-over" in text
        first.require()
        # Forced, the second goes on and the first has lost it.
        with pytest.raises(AssertionError, match="Ray would have been started"):
            run_extract([video], str(out), quick_settings(take_over=True))
        with pytest.raises(LeaseError):
            first.require()
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings
) -> None:
    (tmp_path / "file").write_text("x")
    text = refusal(StorageError, [str(make_video("a"))], str(tmp_path / "file" / "d"))
    assert "a file stands where" in text


def test_a_disk_that_is_read_only(
    tmp_path: Path, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, make = str(make_video("a")), os.makedirs

    def refuse(path: str, *rest: Any, **named: Any) -> None:
        if str(tmp_path / "out") in str(path):
            raise OSError(30, "Read-only file system", path)
        make(path, *rest, **named)

    monkeypatch.setattr(os, "makedirs", refuse)
    text = refusal(StorageError, [video], str(tmp_path / "out"))
    assert "Read-only file system; check the folder's permissions" in text


def test_a_folder_of_something_else(tmp_path: Path, make_video: MakeVideo) -> None:
    video = str(make_video("a"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    assert "holds other files" in refusal(DatasetError, [video], str(tmp_path / "mine"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_other_settings_are_told_key_by_key_and_nothing_is_written(
    tmp_path: Path, make_video: MakeVideo, quick_settings: Settings
) -> None:
    values = settings_to_dict(quick_settings(), "dataset")
    spec = DatasetSpec(tracker=values.pop("tracker"), weights_digest="w", settings=values)
    create_dataset(tmp_path / "out", spec)
    before = digests(tmp_path / "out")
    other = quick_settings(grid=5, tracker="tapir", clip={"size": 64, "fps": 12.5})
    text = refusal(DatasetError, [str(make_video("a"))], str(tmp_path / "out"), other)
    assert (
        "(settings.clip.fps: there null, now 12.5; settings.clip.size: there 32, now 64; "
        'settings.grid: there 4, now 5; tracker: there "tapir-mini", now "tapir")'
    ) in text
    assert text.endswith("use these, or write to a new folder")
    assert digests(tmp_path / "out") == before


@pytest.mark.parametrize("options, words", [
    (["--runer=FlinkRunner"], "--runer=FlinkRunner is no option of Beam; did you mean --runner?"),
    (["--nonsense"], "--nonsense is no option of Beam"),
    (["--runner=FlinkRunner", "--flink_mastr=a:1"], "did you mean --flink_master?"),
    (["--direct_num_workers=x"], "argument --direct_num_workers: invalid int value: 'x'"),
    (["--runner=DataflowRunner", "--projct", "p"], "did you mean --project?"),
    (["stray"], "stray is no option of Beam"),
])  # fmt: skip
def test_words_that_beam_would_drop(
    tmp_path: Path, make_video: MakeVideo, options: list[str], words: str
) -> None:
    out = tmp_path / "out"
    assert words in refusal(ExtractError, [str(make_video("a"))], str(out), beam_options=options)
    assert not out.exists()


@pytest.mark.parametrize("options", [
    None,
    [],
    ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"],
    ["--runner=DataflowRunner", "--project=p", "--region", "r", "--experiments=use_x"],
    # A job server has options of its own.
    ["--runner=FlinkRunner", "--checkpointing_interval=60000"],
])  # fmt: skip
def test_words_that_beam_takes(options: list[str] | None) -> None:
    check_beam_options(options)
