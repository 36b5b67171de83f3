"""Whole videos into memory and out to files."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipelines.video import VideoError, probe_video, read_video, whole, write_video
from tests.pipelines.video.video_makers import (
    decode_straight,
    number_of,
    numbered,
    write_frames,
    write_numbered,
)


def test_read_video_gives_every_frame(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mp4", 40, rate=24)
    video = read_video(path)
    assert video.frames.shape == (40, 48, 64, 3)
    assert video.frames.dtype == np.uint8
    assert [number_of(frame) for frame in video.frames] == list(range(40))
    assert (video.fps, video.error) == (pytest.approx(24), None)
    straight = [frame.to_ndarray(format="rgb24") for frame in decode_straight(path)]
    np.testing.assert_array_equal(video.frames, np.stack(straight))


def test_read_video_limits(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mp4", 40, width=160, height=90)
    video = read_video(str(path), max_side=80, max_frames=7)
    assert video.frames.shape == (7, 45, 80, 3)
    assert [number_of(frame) for frame in video.frames] == list(range(7))
    assert video.fps == pytest.approx(30)
    assert read_video(path, max_side=500, max_frames=1).frames.shape == (1, 90, 160, 3)
    with pytest.raises(ValueError, match="max_frames is 0"):
        read_video(path, max_frames=0)


def test_read_video_turns_the_picture_upright(tmp_path: Path) -> None:
    frames = [np.rot90(numbered(k, 48, 64)) for k in range(5)]
    video = read_video(write_frames(tmp_path / "a.mp4", frames, turn=-90), max_side=32)
    assert video.frames.shape == (5, 32, 24, 3)
    assert [number_of(frame) for frame in video.frames] == list(range(5))


def test_read_video_of_one_frame(tmp_path: Path) -> None:
    video = read_video(write_numbered(tmp_path / "a.mp4", 1))
    assert video.frames.shape == (1, 48, 64, 3)
    assert video.fps > 0


def test_read_video_refuses_what_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_numbered(tmp_path / "a.mkv", 40)  # this container does not tell its frame count
    monkeypatch.setattr(whole, "_MAX_BYTES", 20 * 48 * 64 * 3)
    with pytest.raises(VideoError, match="limit the number of frames"):
        read_video(path)
    assert len(read_video(path, max_frames=20).frames) == 20


def test_gif_frames_of_one_colour_stay_apart(tmp_path: Path) -> None:
    levels = [60, 180, 60, 0, 180]
    write_video(tmp_path / "a.gif", [np.full((9, 16, 3), k, np.uint8) for k in levels], 10)
    assert [int(frame[4, 8, 0]) for frame in read_video(tmp_path / "a.gif").frames] == levels


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "A.MP4"])
@pytest.mark.parametrize("width, height", [(64, 48), (63, 47), (16, 16), (1, 1)])
def test_written_videos_read_back(tmp_path: Path, name: str, width: int, height: int) -> None:
    frames = [numbered(k, width, height) for k in range(12)]
    write_video(tmp_path / name, iter(frames), 12.5)
    video = read_video(tmp_path / name)
    even = name.lower().endswith(".mp4")
    size = (height + height % 2, width + width % 2) if even else (height, width)
    assert video.frames.shape == (12, *size, 3)
    assert video.fps == pytest.approx(12.5, rel=0.01)
    difference = video.frames[:, :height, :width].astype(int) - np.stack(frames)
    assert np.abs(difference).mean() < 4
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if even:
        assert probe_video(str(tmp_path / name)).codec == "h264"


@pytest.mark.parametrize("fps", [1, 24, 25.0, 30000 / 1001, 60])
def test_written_rates(tmp_path: Path, fps: float) -> None:
    write_video(tmp_path / "a.mp4", [numbered(k) for k in range(10)], fps)
    assert read_video(tmp_path / "a.mp4").fps == pytest.approx(float(Fraction(fps)), rel=1e-3)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_colours_survive_writing(tmp_path: Path, name: str) -> None:
    colours = np.array([[200, 30, 60], [20, 180, 90], [250, 250, 250], [40, 40, 220]], np.uint8)
    picture = np.repeat(np.repeat(colours.reshape(2, 2, 3), 32, 0), 32, 1)
    write_video(tmp_path / name, [picture] * 3, 10)
    frame = read_video(tmp_path / name).frames[1].astype(int)
    centres = frame[16::32, 16::32].reshape(4, 3)
    assert np.abs(centres - colours).max() <= 6


def test_an_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, [numbered(0)] * 3, 10)
    before = path.read_bytes()

    def frames() -> Iterator[np.ndarray]:
        yield numbered(1)
        yield numbered(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, frames(), 10)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name, frames, fps, message",
    [
        ("a.xyz", [numbered(0)], 10, r"unknown video suffix '.xyz': use .mp4 or .gif"),
        ("a.mp4", [], 10, "no frames"),
        ("a.mp4", [numbered(0)], 0, "fps is 0"),
        ("a.mp4", [numbered(0), numbered(0, 32, 32)], 10, r"frame 1 is \[32, 32, 3\]"),
        ("a.gif", [numbered(0)[..., 0]], 10, r"frame 0 is uint8 \[48, 64\]"),
        ("a.mp4", [numbered(0).astype(np.float32)], 10, "frame 0 is float32"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, name: str, frames: list[np.ndarray], fps: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / name, frames, fps)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="folder does not exist") as error:
        write_video(tmp_path / "gone" / "a.mp4", [numbered(0)], 10)
    assert error.value.stage == "write"


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.video import write

    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    opener = write.av.open
    monkeypatch.setattr(write.av, "open", lambda path, *a, **k: opener("/dev/full", *a, **k))
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), np.uint8)
    with pytest.raises(VideoError, match=r"a\.mp4: cannot be written \(No space left"):
        write_video(tmp_path / "a.mp4", noise, 10)
    assert list(tmp_path.iterdir()) == []
