"""Frames of clips beside the dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.pictures import clip_frames
from pipelines.training.animation.data_config import DataConfig
from pipelines.training.animation.fill import fill_frames
from pipelines.training.animation.frames import FrameStore, FrameStoreError
from pipelines.training.animation.index import ClipIndex, select_clips
from pipelines.video import ClipSettings
from tests.pipelines.cli.cli_makers import FRAMES, make_dataset, make_video
from tests.pipelines.training.animation.animation_makers import CLIP, picture


def test_any_frame_comes_back(tmp_path: Path) -> None:
    store = FrameStore(tmp_path / "frames")
    store.prepare(CLIP)
    frames = np.stack([picture((3, 1), t) for t in range(5)])
    store.put("ab" * 16, frames)
    assert store.has("ab" * 16)
    assert not store.has("cd" * 16)
    read = store.get("ab" * 16, (4, 0, 4))
    assert read.dtype == np.uint8
    error = np.abs(read.astype(int) - frames[[4, 0, 4]])
    assert error.mean() < 4  # the chroma has half the resolution
    assert np.abs(read.mean(axis=-1) - frames[[4, 0, 4]].mean(axis=-1)).mean() < 1.5
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_of_other_clips_is_refused(tmp_path: Path) -> None:
    FrameStore(tmp_path).prepare(CLIP)
    FrameStore(tmp_path).prepare(CLIP)
    with pytest.raises(FrameStoreError, match=r"another way.*give another folder"):
        FrameStore(tmp_path).prepare(ClipSettings(num_frames=9, size=32))
    (tmp_path / "frames.json").write_text("{")
    with pytest.raises(FrameStoreError):
        FrameStore(tmp_path).prepare(CLIP)


@pytest.mark.parametrize("keep", [0, 20, 60, 500])
def test_a_damaged_file_is_named(tmp_path: Path, keep: int) -> None:
    store = FrameStore(tmp_path)
    store.prepare(CLIP)
    store.put("ab" * 16, np.stack([picture((3, 1), t) for t in range(5)]))
    (path,) = tmp_path.rglob("*.frames")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FrameStoreError, match=path.name):
        store.get("ab" * 16, [4])
    path.unlink()
    with pytest.raises(FrameStoreError, match=r"missing.*next run"):
        store.get("ab" * 16, [4])


def all_clips(dataset: object) -> ClipIndex:
    return select_clips(dataset, DataConfig(where="true", validation_fraction=0)).train  # type: ignore[arg-type]


@pytest.mark.parametrize("processes", [0, 1])
def test_filling_reads_each_clip_from_its_video(tmp_path: Path, processes: int) -> None:
    dataset = make_dataset(tmp_path / "tracks", make_video(tmp_path / "v.mp4"))
    store, index = FrameStore(tmp_path / "frames"), all_clips(dataset)
    told: list[tuple[int, int]] = []
    missing = fill_frames(
        dataset, store, [index], processes=processes, progress=lambda *at: told.append(at)
    )
    assert missing.clips == {}
    assert missing.warning() == ""
    assert told == [(2, 2)]
    for clip in dataset:
        stored = store.get(clip.info.clip_id, range(FRAMES)).astype(float)
        original = clip_frames(dataset, clip.info)
        assert np.abs(stored.mean(axis=-1) - original.mean(axis=-1)).mean() < 2
    # Nothing is read twice: the video is not needed any more.
    (tmp_path / "v.mp4").unlink()
    assert fill_frames(dataset, store, [index]).clips == {}


def test_clips_whose_video_has_gone_are_left_out_in_one_line(tmp_path: Path) -> None:
    video = make_video(tmp_path / "v.mp4")
    dataset = make_dataset(tmp_path / "tracks", video)
    video.unlink()
    index = all_clips(dataset)
    missing = fill_frames(dataset, FrameStore(tmp_path / "frames"), [index])
    assert missing.clips.keys() == {identity.decode() for identity in index.ids.tolist()}
    assert missing.warning().startswith("2 clips left out")
    assert str(video) in missing.warning()
    assert "\n" not in missing.warning()
    assert len(index.without(set(missing.clips))) == 0


def test_a_video_that_became_another_gives_no_frames(tmp_path: Path) -> None:
    video = make_video(tmp_path / "v.mp4")
    dataset = make_dataset(tmp_path / "tracks", video)
    make_video(video, height=32, width=96)
    missing = fill_frames(dataset, FrameStore(tmp_path / "frames"), [all_clips(dataset)])
    assert len(missing.clips) == 2
    assert "not the file that was extracted" in missing.warning()
