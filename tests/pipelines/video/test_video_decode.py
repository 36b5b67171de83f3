"""A clip's frames are the ones a straight decode of the file gives at the same times."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.reformatter import Interpolation

from pipelines.video import (
    ClipReader,
    ClipSettings,
    ClipSpec,
    VideoError,
    decode,
    plan_clips,
    probe_video,
    read_clip,
)
from pipelines.video.frames import decoded
from tests.pipelines.video.video_makers import (
    WIDTH,
    decode_straight,
    number_of,
    numbered,
    write_frames,
    write_numbered,
)

REGULAR = {"x264-params": "scenecut=0"}  # no key frames but those that were asked for
SIZE = 48  # the height of the numbered frames: the crop is a plain window of the picture


def straight(path: Path) -> np.ndarray:
    left = (WIDTH - SIZE) // 2
    frames = [
        frame.to_ndarray(format="rgb24", interpolation=Interpolation.AREA)
        for frame in decode_straight(path)
    ]
    return np.stack(frames)[:, :, left : left + SIZE]


@pytest.mark.parametrize("fps", [None, 11.0, 30.0, 50.0])
@pytest.mark.parametrize(
    "name, keywords",
    [
        ("b_frames.mp4", {"gop": 10, "b_frames": 3}),
        ("open_gop.mp4", {"gop": 12, "b_frames": 3, "options": {"x264-params": "open-gop=1"}}),
        ("one_gop.mkv", {"gop": 250}),
        ("intra.mp4", {"gop": 1, "b_frames": 0}),
        ("packed.avi", {"codec": "mpeg4", "b_frames": 2, "gop": 12}),
        ("plain.avi", {"codec": "mpeg4", "b_frames": 0, "gop": 12}),
        ("stream.ts", {"gop": 10}),
        ("vfr.mkv", {"times_ms": [7 * k + (k * k) % 29 + 25 * k for k in range(60)], "gop": 9}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}, "gop": 15}),
        ("raw.h264", {"container": "h264", "gop": 10}),
    ],
)
def test_a_clip_equals_the_straight_decode(
    tmp_path: Path, name: str, keywords: dict[str, Any], fps: float | None
) -> None:
    path = write_numbered(tmp_path / name, 60, **keywords)
    whole = straight(path)
    assert [number_of(frame) for frame in whole] == list(range(60))
    plan = plan_clips(str(path), ClipSettings(num_frames=7, size=SIZE, fps=fps, stride=9))
    assert plan.error is None
    assert len(plan.specs) >= 2
    for spec in plan.specs:
        clip = read_clip(spec)
        assert clip.dtype == np.uint8
        assert clip.shape == (7, SIZE, SIZE, 3)
        assert clip.flags.c_contiguous
        chosen = [number_of(frame) for frame in clip]
        assert chosen == sorted(chosen)
        np.testing.assert_array_equal(clip, whole[chosen])
        if fps is None:
            assert chosen == list(range(chosen[0], chosen[0] + 7))
    with ClipReader() as reader:
        for spec in plan.specs:
            np.testing.assert_array_equal(reader.read(spec), read_clip(spec))


def decoded_frames(
    monkeypatch: pytest.MonkeyPatch, specs: Sequence[ClipSpec], together: bool
) -> int:
    """How many frames are decoded to read clips with one reader, or with one for each."""
    count = 0

    def counting(video: Any) -> Iterator[Any]:
        nonlocal count
        for item in decoded(video):
            count += 1
            yield item

    with monkeypatch.context() as patch, ExitStack() as stack:
        patch.setattr(decode, "decoded", counting)
        reader = stack.enter_context(ClipReader())
        for spec in specs:
            (reader.read if together else read_clip)(spec)
    return count


def test_neighbours_between_key_frames_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_numbered(tmp_path / "one_gop.mkv", 60, gop=250, options=REGULAR)
    specs = plan_clips(str(path), ClipSettings(num_frames=6, size=SIZE)).specs
    assert len(specs) == 10
    assert decoded_frames(monkeypatch, specs, together=True) == 60
    assert decoded_frames(monkeypatch, specs, together=False) == sum(range(6, 61, 6))


def test_a_key_frame_between_clips_is_where_the_later_one_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_numbered(tmp_path / "gops.mp4", 60, gop=10, b_frames=0, options=REGULAR)
    first, *_, last = plan_clips(str(path), ClipSettings(num_frames=5, size=SIZE)).specs
    # The last clip is frames 55 to 59: it begins at 50 alone, and 5 to 49 are of no use to it.
    # On the way from the first clip, 5 to 10 tell that there is a key frame.
    assert decoded_frames(monkeypatch, [first, last], together=False) == 5 + 10
    assert decoded_frames(monkeypatch, [first, last], together=True) == 5 + 6 + 10


def test_a_reader_takes_clips_in_any_order(tmp_path: Path) -> None:
    settings = ClipSettings(num_frames=6, size=SIZE, stride=4)
    one = plan_clips(str(write_numbered(tmp_path / "one.mp4", 40, gop=250)), settings).specs
    two = plan_clips(str(write_numbered(tmp_path / "two.mp4", 40, gop=7)), settings).specs
    gone = replace(one[3], info=replace(one[3].info, source=str(tmp_path / "gone.mp4")))
    order = [one[0], one[2], two[0], two[4], one[5], one[1], gone, one[7], one[7], two[8]]
    with ClipReader() as reader:
        for spec in order:
            if spec is gone:
                with pytest.raises(VideoError, match="no such file"):
                    reader.read(spec)
            else:
                np.testing.assert_array_equal(reader.read(spec), read_clip(spec))


@pytest.mark.parametrize("turn, rotation", [(-90, 90), (90, 270), (180, 180)])
def test_rotated_files_come_upright(tmp_path: Path, turn: int, rotation: int) -> None:
    frames = [np.rot90(numbered(k, 48, 64), k=-turn // 90) for k in range(12)]
    path = write_frames(tmp_path / "phone.mp4", frames, turn=turn)
    probe = probe_video(str(path))
    assert (probe.rotation, probe.width, probe.height) == (rotation, 48, 64)
    for fit in ("crop", "fit"):
        plan = plan_clips(str(path), ClipSettings(num_frames=6, size=96, fit=fit))  # type: ignore[arg-type]
        assert [spec.info.rotation for spec in plan.specs] == [rotation] * 2
        clips = np.concatenate([read_clip(spec) for spec in plan.specs])
        inner = clips if fit == "crop" else clips[:, :, 12:84]
        assert [number_of(frame) for frame in inner] == list(range(12))
        if fit == "fit":
            assert clips[:, :, :12].max() == 0
            assert clips[:, :, 84:].max() == 0


@pytest.mark.parametrize(
    "name, keywords",
    [
        ("ten_bit.mp4", {"pix_fmt": "yuv420p10le"}),
        ("ten_bit.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
        ("chroma.mp4", {"pix_fmt": "yuv444p"}),
        ("full_range.mp4", {"pix_fmt": "yuvj420p"}),
        ("grey.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
        ("alpha.mkv", {"codec": "ffv1", "pix_fmt": "bgra"}),
        ("palette.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
        ("photos.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("odd.mkv", {"codec": "ffv1", "pix_fmt": "yuv444p", "width": 61, "height": 45}),
        ("odd.webm", {"codec": "libvpx-vp9", "width": 63, "height": 47}),
        ("tiny.mkv", {"codec": "ffv1", "width": 9, "height": 8, "pix_fmt": "yuv444p"}),
        ("lossless.avi", {"codec": "rawvideo", "pix_fmt": "rgb24"}),
    ],
)
def test_pixel_formats_and_odd_sizes(tmp_path: Path, name: str, keywords: dict[str, Any]) -> None:
    path = write_numbered(tmp_path / name, 16, **keywords)
    plan = plan_clips(str(path), ClipSettings(num_frames=8, size=64))
    clips = np.concatenate([read_clip(spec) for spec in plan.specs])
    assert [number_of(frame) for frame in clips] == list(range(16))
    levels = clips[:, 8:24, 4:12].reshape(
        -1
    )  # inside the first block: dark or bright, nothing else
    spread = np.minimum(np.abs(levels - 60.0), np.abs(levels - 180.0))
    assert np.median(spread) <= (20 if name.endswith(".gif") else 4)


def test_colours_survive(tmp_path: Path) -> None:
    colour = np.array([200, 30, 60], np.uint8)
    path = write_frames(tmp_path / "a.mp4", [np.full((48, 64, 3), colour)] * 8)
    clip = read_clip(plan_clips(str(path), ClipSettings(num_frames=8, size=32)).specs[0])
    assert np.abs(clip.astype(int) - colour).max() <= 4


def test_a_file_that_shrank_or_went_after_planning(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mp4", 40)
    spec = plan_clips(str(path), ClipSettings(num_frames=8, size=32)).specs[-1]
    write_numbered(path, 10)
    with pytest.raises(VideoError, match=r"1\.07-1\.33 s cannot be decoded: .* not there") as error:
        read_clip(spec)
    assert error.value.stage == "decode"
    path.unlink()
    with pytest.raises(VideoError, match="no such file") as error:
        read_clip(spec)
    assert error.value.stage == "open"


def test_a_remote_file_reads_like_a_local_one(tmp_path: Path) -> None:
    import fsspec

    path = write_numbered(tmp_path / "a.mp4", 30)
    url = "memory://clips/a.mp4"
    with fsspec.open(url, "wb") as file:
        file.write(path.read_bytes())
    options = ClipSettings(num_frames=8, size=32)
    local, remote = plan_clips(str(path), options), plan_clips(url, options)
    assert remote.specs[1].info.source == url
    for a, b in zip(local.specs, remote.specs, strict=True):
        np.testing.assert_array_equal(read_clip(a), read_clip(b))


def test_names_that_look_like_something_else(tmp_path: Path) -> None:
    for name in ("tcp:a.mp4", "100%d.mp4", "a b#c?.mp4", "ünï.mp4", "noending"):
        path = write_numbered(tmp_path / "plain.mp4", 8).rename(tmp_path / name)
        spec = plan_clips(str(path), ClipSettings(num_frames=8, size=32)).specs[0]
        assert number_of(read_clip(spec)[5]) == 5


def test_relative_and_undecodable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_numbered(tmp_path / "a.mp4", 8)
    monkeypatch.chdir(tmp_path)
    settings = ClipSettings(num_frames=8, size=32)
    assert plan_clips("a.mp4", settings).specs[0].info.source == str(tmp_path / "a.mp4")
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4")
    os.rename("a.mp4", name)
    spec = plan_clips(name, settings).specs[0]
    assert number_of(read_clip(spec)[7]) == 7
