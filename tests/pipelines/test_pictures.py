"""Frames of a dataset's clips read again, and pictures of several clips."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines import pictures
from pipelines.extract.inputs import Bucket
from pipelines.extract.planning import cut_shards, pack_source, write_plan
from pipelines.pictures import clip_frames, clip_sheet, dataset_sheet, overlay
from pipelines.video import ClipSettings, VideoError, plan_clips, read_video
from tests.pipelines.cli.cli_makers import FRAMES, SIZE, make_dataset, make_video
from trajectories import (
    DatasetError,
    DatasetSpec,
    ShardWriter,
    create_dataset,
    encode_clip,
    open_dataset,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "source.mp4")


def test_the_frames_are_those_of_the_clip(source: Path, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "tracks", source)
    second = list(dataset)[1]
    frames = clip_frames(dataset, second.info)
    assert frames.shape == (FRAMES, SIZE, SIZE, 3)
    # The clip shows the centre square, enlarged.
    squares = [cv2.resize(f, (SIZE, SIZE)) for f in read_video(source).frames[:, :, 8:56]]
    apart = np.abs(frames[:, None].astype(float) - np.stack(squares)).mean(axis=(2, 3, 4))
    np.testing.assert_array_equal(apart.argmin(axis=1), FRAMES + np.arange(FRAMES))


def test_another_file_in_the_source_s_place_is_refused(source: Path, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "tracks", source)
    info = next(iter(dataset)).info
    make_video(source, 2 * FRAMES, height=32, width=96)
    with pytest.raises(VideoError, match="not the one that was extracted"):
        clip_frames(dataset, info)


def test_a_dataset_that_does_not_know_how_its_clips_were_cut(source: Path, tmp_path: Path) -> None:
    info = next(iter(make_dataset(tmp_path / "tracks", source))).info
    for number, settings in enumerate([{}, {"clip": {"sides": 3}}, {"clip": {"size": 1}}]):
        spec = DatasetSpec(tracker="x", weights_digest="0", settings=settings)
        other = create_dataset(tmp_path / f"other{number}", spec)
        with pytest.raises(DatasetError, match="does not say how its clips were cut"):
            clip_frames(other, info)


def test_an_overlay_has_a_picture_for_each_frame(source: Path, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "tracks", source)
    pictures = list(overlay(dataset, next(iter(dataset))))
    assert len(pictures) == FRAMES
    assert all(picture.shape == pictures[0].shape for picture in pictures)


def test_a_sheet_leaves_out_sources_that_have_gone(source: Path, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "tracks", source)
    both, one = dataset_sheet(dataset), dataset_sheet(dataset, max_clips=1)
    assert both.shape[1] == one.shape[1]
    assert 1.8 < both.shape[0] / one.shape[0] < 2.0
    assert abs(clip_sheet(dataset, next(iter(dataset))).shape[0] - one.shape[0]) < 40
    shutil.move(source, tmp_path / "elsewhere.mp4")
    with pytest.raises(VideoError, match="no such file"):
        dataset_sheet(dataset)


def test_an_empty_dataset_has_no_sheet(tmp_path: Path) -> None:
    empty = create_dataset(tmp_path / "empty", DatasetSpec(tracker="x", weights_digest="0"))
    with pytest.raises(DatasetError, match="holds no clips to draw"):
        dataset_sheet(empty)


def test_frames_are_read_as_they_were_recorded(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path / "tracks", source)
    infos = [clip.info for clip in dataset]
    expected = [clip_frames(dataset, info) for info in infos]
    plan = plan_clips(str(source), ClipSettings(num_frames=FRAMES, size=SIZE))
    packed = pack_source(plan, 0.0)
    (shard,) = cut_shards(Bucket(0, 0), [packed], 16)
    write_plan(dataset.storage, Bucket(0, 0), [shard])
    # The same clips in a shard of the name that was recorded.
    with ShardWriter(dataset.root, shard.name) as writer:
        for clip in dataset:
            writer.add(encode_clip(clip))
        writer.commit()
    for name in dataset.storage.list_files("commits"):
        if shard.name not in name:
            dataset.storage.remove(name)
    recorded = open_dataset(dataset.root)

    def again(*arguments: object) -> None:
        raise AssertionError("the video was searched again")

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "plan_clips", again)
        for info, frames in zip(infos, expected, strict=True):
            np.testing.assert_array_equal(clip_frames(recorded, info), frames)
    make_video(source, 2 * FRAMES, height=32, width=96)
    with pytest.raises(VideoError, match="not the one that was extracted"):
        clip_frames(recorded, infos[0])
    source.unlink()
    with pytest.raises(VideoError, match=r"no such file; pictures need the video"):
        clip_frames(recorded, infos[0])
