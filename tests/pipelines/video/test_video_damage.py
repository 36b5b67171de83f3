"""Files that are not what they should be: always frames or a VideoError, never anything else."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest

from pipelines.video import (
    ClipSettings,
    VideoError,
    plan_clips,
    probe_video,
    read_clip,
    read_video,
)
from tests.pipelines.video.video_makers import (
    decode_straight,
    flat,
    number_of,
    write_audio,
    write_numbered,
)

SETTINGS = ClipSettings(num_frames=4, size=32)


def failure(path: Path | str) -> VideoError:
    """The error of planning, which reading and probing the file must give too."""
    with pytest.raises(VideoError) as error:
        plan_clips(str(path), SETTINGS)
    with pytest.raises(VideoError):
        read_video(path)
    with pytest.raises(VideoError):
        probe_video(str(path))
    assert str(error.value) == f"{path}: {error.value.message}"
    assert "\n" not in str(error.value)
    return error.value


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("this is no video\n" * 100)


def playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.ts\n#EXT-X-ENDLIST\n")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(20_000))


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(20_000))


def header_only(path: Path) -> None:
    write_numbered(path, 20)
    path.write_bytes(path.read_bytes()[:40])


def without_index(path: Path) -> None:
    write_numbered(path, 20)  # the index comes last
    path.write_bytes(path.read_bytes()[:-400])


def zeroed_index(path: Path) -> None:
    write_numbered(path, 20)
    data = path.read_bytes()
    at = data.index(b"moov") + 4
    path.write_bytes(data[:at] + bytes(len(data) - at))


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def below_a_file(path: Path) -> None:
    path.parent.write_bytes(b"")


@pytest.mark.parametrize(
    "name, make, message",
    [
        ("empty.mp4", empty, r"empty \(0 bytes\)"),
        ("text.mp4", text, "not a readable video"),
        ("art.txt", text, "not a readable video"),
        ("list.m3u8", playlist, "not a readable video"),
        ("list.mp4", playlist, "not a readable video"),
        ("zeros.mp4", zeros, "not a readable video"),
        ("noise.bin", noise, "not a readable video"),
        ("header.mp4", header_only, "not a readable video"),
        ("no_index.mp4", without_index, "not a readable video"),
        ("zeroed.mp4", zeroed_index, "no video stream|not a readable"),
        ("sound.m4a", write_audio, r"no video stream \(only audio\)"),
        ("folder.mp4", folder, "is a directory"),
        ("pipe.mp4", pipe, "not a regular file"),
        ("missing.mp4", lambda path: None, "no such file"),
        ("file/below.mp4", below_a_file, "no such file"),
    ],
)
def test_what_is_no_video_fails_to_open(
    tmp_path: Path, name: str, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / name
    make(path)
    error = failure(path)
    assert error.stage == "open"
    assert not error.transient
    with pytest.raises(VideoError, match=message):
        raise error


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_numbered(tmp_path / "a.mp4", 8)
    monkeypatch.setattr(os, "access", lambda *_: False)
    error = failure(path)
    assert (error.stage, error.message) == ("open", "cannot be read (permission denied)")


def test_a_video_of_no_frames(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mkv", 8, gop=1)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])  # before the first cluster
    error = failure(path)
    assert error.stage in ("open", "plan")


@pytest.mark.parametrize(
    "url, message, transient",
    [
        ("memory://gone/a.mp4", "no such file", False),
        ("nosuchstore://a/b.mp4", "no file store", False),
    ],
)
def test_addresses_that_do_not_open(url: str, message: str, transient: bool) -> None:
    error = failure(url)
    assert message in error.message
    assert error.transient is transient


def test_a_store_that_breaks_off_is_transient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFile

    path = write_numbered(tmp_path / "a.ts", 200, width=320, height=240, gop=1)
    data = path.read_bytes()
    url = "memory://flaky/a.ts"
    with fsspec.open(url, "wb") as file:
        file.write(data)
    count = 0
    read = MemoryFile.read

    def breaks(self: MemoryFile, *size: int) -> bytes:
        nonlocal count
        count += 1
        if self.tell() > len(data) // 2 and count > 4:
            raise ConnectionResetError("the connection is gone")
        return read(self, *size)

    monkeypatch.setattr(MemoryFile, "read", breaks)
    with pytest.raises(VideoError, match="connection is gone") as error:
        plan_clips(url, SETTINGS)
    assert error.value.transient


def test_a_cut_off_file_gives_the_clips_before_the_end(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mp4", 60, muxer={"movflags": "faststart"}, gop=12)
    data = path.read_bytes()
    payload = data.index(b"mdat")
    path.write_bytes(data[: payload + (len(data) - payload) // 2])
    plan = plan_clips(str(path), SETTINGS)
    assert plan.error is not None
    assert plan.error.stage == "decode"
    assert "damaged or cut off" in str(plan.error)
    clips = [[number_of(frame) for frame in read_clip(spec)] for spec in plan.specs]
    assert clips
    assert flat(clips) == list(range(4 * len(clips)))
    video = read_video(path)
    assert [number_of(frame) for frame in video.frames] == list(range(len(video.frames)))
    assert 4 * len(clips) <= len(video.frames) < 60
    assert video.error is not None


def test_a_hole_costs_only_the_clips_it_touches(tmp_path: Path) -> None:
    path = write_numbered(
        tmp_path / "a.mp4", 90, muxer={"movflags": "faststart"}, gop=10, b_frames=0
    )
    data = bytearray(path.read_bytes())
    payload = data.index(b"mdat") + 8
    middle = payload + (len(data) - payload) // 2
    data[middle : middle + 300] = bytes(300)
    path.write_bytes(data)
    plan = plan_clips(str(path), SETTINGS)
    assert plan.error is not None
    found = [[number_of(frame) for frame in read_clip(spec)] for spec in plan.specs]
    assert all(clip == list(range(clip[0], clip[0] + 4)) for clip in found)
    assert found[0] == [0, 1, 2, 3]
    assert found[-1][-1] >= 80
    assert 15 <= len(found) < 22


def test_errors_cross_processes() -> None:
    error = VideoError("a\nb.mp4", "decode", "two\n lines", transient=True)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.source, copy.stage, copy.message, copy.transient) == (
        "a\nb.mp4",
        "decode",
        "two lines",
        True,
    )
    assert str(copy) == str(error) == "a b.mp4: two lines"


def attempt(path: Path) -> str:
    """Plan and read everything; "good" or "bad", and nothing but VideoError on the way."""
    try:
        plan = plan_clips(str(path), SETTINGS)
    except VideoError:
        return "bad"
    for spec in plan.specs:
        try:
            clip = read_clip(spec)
        except VideoError:
            return "bad"
        assert clip.shape == (4, 32, 32, 3)
    try:
        read_video(path)
    except VideoError:
        return "bad"
    return "good"


@pytest.mark.parametrize(
    "name, keywords",
    [
        ("a.mp4", {"muxer": {"movflags": "faststart"}}),
        ("a.mkv", {}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.ts", {}),
        ("a.webm", {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}}),
        ("a.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    ],
)
def test_cut_and_flipped_bytes_never_surprise(
    tmp_path: Path, name: str, keywords: dict[str, object]
) -> None:
    path = write_numbered(tmp_path / name, 8, gop=4, **keywords)
    data = path.read_bytes()
    rng = np.random.default_rng(sum(map(ord, name)))
    outcomes = {"good": 0, "bad": 0}
    for trial in range(60):
        broken = bytearray(data)
        if trial % 3 == 0:
            broken = broken[: rng.integers(len(broken))]
        else:
            # Half of the flips hit the header, where they hurt most.
            reach = len(broken) if trial % 3 == 1 else min(len(broken), 1200)
            for at in rng.integers(reach, size=rng.integers(1, 12)):
                broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        outcomes[attempt(path)] += 1
    assert outcomes["good"] > 0
    assert outcomes["bad"] > 0


def test_a_recording_that_starts_amid_a_group_of_pictures_is_sound(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.ts", 60, gop=12)
    keys = [number for number, frame in enumerate(decode_straight(path)) if frame.key_frame]
    data = path.read_bytes()
    packets = len(data) // 188
    path.write_bytes(data[188 * (packets // 3) :])
    plan = plan_clips(str(path), SETTINGS)
    assert plan.error is None
    found = [number_of(frame) for spec in plan.specs for frame in read_clip(spec)]
    assert found == list(range(found[0], found[0] + len(found)))
    assert found[0] in keys[1:]
    assert found[-1] >= 56


@pytest.mark.parametrize("fps", [None, 30.0])
def test_time_stamps_from_another_age_are_damage(tmp_path: Path, fps: float | None) -> None:
    times = [33 * k for k in range(9)] + [2**52 + 33 * k for k in range(9)]
    path = write_numbered(tmp_path / "a.nut", 18, times_ms=times, gop=1, b_frames=0)
    plan = plan_clips(str(path), ClipSettings(num_frames=4, size=32, fps=fps))
    assert plan.error is not None
    assert "out of order" in plan.error.message
    assert [number_of(read_clip(spec)[0]) for spec in plan.specs] == [0, 4]
