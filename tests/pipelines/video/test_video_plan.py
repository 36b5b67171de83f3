"""Which clips are planned and which frames they hold, read back from numbered frames."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipelines.video import ClipSettings, Plan, VideoError, plan_clips, read_clip
from pipelines.video.frames import Stamp, believable_rate, frame_clock
from tests.pipelines.video.video_makers import (
    flat,
    number_of,
    texture,
    write_frames,
    write_numbered,
)
from trajectories import clip_id


def settings(**keywords: object) -> ClipSettings:
    return ClipSettings(**{"num_frames": 8, "size": 32, **keywords})  # type: ignore[arg-type]


def numbers(plan: Plan) -> list[list[int]]:
    return [[number_of(frame) for frame in read_clip(spec)] for spec in plan.specs]


def counting(*ranges: tuple[int, int]) -> list[list[int]]:
    return [list(range(*item)) for item in ranges]


def test_consecutive_clips_and_the_dropped_remainder(tmp_path: Path) -> None:
    path = str(write_numbered(tmp_path / "a.mp4", 30))
    plan = plan_clips(path, settings())
    assert plan.error is None
    assert numbers(plan) == counting((0, 8), (8, 16), (16, 24))
    info = plan.specs[1].info
    assert (info.source, info.num_frames, info.width, info.height) == (path, 8, 32, 32)
    assert (info.fps, info.start_s) == pytest.approx((30, 8 / 30))
    assert info.end_s == pytest.approx(16 / 30)
    assert info.clip_id == clip_id(path, round(8e6 / 30), round(16e6 / 30))
    assert len(pickle.dumps(plan.specs[0])) < 1000
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_planning_again_gives_the_same_plan(tmp_path: Path) -> None:
    path = str(write_numbered(tmp_path / "a.mp4", 30))
    assert plan_clips(path, settings()) == plan_clips(path, settings())


def test_frames_beyond_the_clock_look_ahead_are_all_there(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mp4", 100)
    assert flat(numbers(plan_clips(str(path), settings(num_frames=10)))) == list(range(100))


@pytest.mark.parametrize("fps", [7.5, 10, 15, 24, 29.97, 30, 45])
def test_resampling_takes_the_nearest_frame(tmp_path: Path, fps: float) -> None:
    path = write_numbered(tmp_path / "a.mp4", 60)
    plan = plan_clips(str(path), settings(fps=fps))
    picked = flat(numbers(plan))
    times = np.arange(len(picked)) / fps
    assert np.abs(np.array(picked) / 30 - times).max() <= 0.5 / 30 + 1e-9
    assert len(plan.specs) == pytest.approx(2 * fps / 8, abs=1)
    assert all(spec.info.fps == fps for spec in plan.specs)


def test_variable_rate_is_resampled_by_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.integers(10, 120, 60)).tolist()
    path = write_numbered(tmp_path / "a.mkv", 60, times_ms=times)
    plan = plan_clips(str(path), settings(fps=10.0))
    start = times[0]
    targets = start + 100 * np.arange(8 * len(plan.specs))
    wanted = [int(np.abs(np.array(times) - t).argmin()) for t in targets]
    assert len(plan.specs) == (times[-1] - start) // 800
    assert flat(numbers(plan)) == wanted


def test_variable_rate_without_resampling_takes_every_frame(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.integers(10, 120, 40)).tolist()
    plan = plan_clips(str(write_numbered(tmp_path / "a.mkv", 40, times_ms=times)), settings())
    assert flat(numbers(plan)) == list(range(40))
    rate = 39 * 1000 / (times[-1] - times[0])
    assert [spec.info.fps for spec in plan.specs] == pytest.approx([rate] * 5, rel=0.02)
    assert plan.specs[2].info.start_s == pytest.approx((times[16] - times[0]) / 1000, abs=2e-3)


@pytest.mark.parametrize(
    "stride, ranges",
    [
        (4, [(0, 8), (4, 12), (8, 16), (12, 20)]),
        (10, [(0, 8), (10, 18)]),
    ],
)
def test_strides(tmp_path: Path, stride: int, ranges: list[tuple[int, int]]) -> None:
    path = write_numbered(tmp_path / "a.mp4", 20)
    assert numbers(plan_clips(str(path), settings(stride=stride))) == counting(*ranges)


def test_a_limit_spreads_clips_over_the_video(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mp4", 96)
    found = numbers(plan_clips(str(path), settings(max_clips=3)))
    assert found == counting((16, 24), (48, 56), (80, 88))


def shots(lengths: list[int]) -> list[np.ndarray]:
    frames = []
    for seed, length in enumerate(lengths):
        whole = texture(100 + seed, 96)
        frames += [np.roll(whole, k, axis=1)[:48, :64] for k in range(length)]
    return frames


def test_clips_do_not_cross_shot_cuts(tmp_path: Path) -> None:
    path = str(write_frames(tmp_path / "a.mp4", shots([19, 12, 5, 16]), rate=25))
    starts = [round(spec.info.start_s * 25) for spec in plan_clips(path, settings()).specs]
    assert starts == [0, 8, 19, 36, 44]
    anyway = plan_clips(path, settings(cut_threshold=None))
    assert [round(spec.info.start_s * 25) for spec in anyway.specs] == [0, 8, 16, 24, 32, 40]


def test_shots_that_are_all_too_short_are_told(tmp_path: Path) -> None:
    path = str(write_frames(tmp_path / "a.mp4", shots([6, 7, 5])))
    with pytest.raises(VideoError, match=r"longest shot has 7 frames \(18 in the file\).* 8") as e:
        plan_clips(path, settings())
    assert e.value.stage == "plan"


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_short_video_is_told(tmp_path: Path, count: int) -> None:
    path = str(write_numbered(tmp_path / "short.mp4", count))
    with pytest.raises(VideoError, match=f"has {count} frames .* needs 8") as error:
        plan_clips(path, settings())
    assert error.value.stage == "plan"
    assert str(error.value).startswith(path)


def test_a_long_time_without_frames_parts_two_shots(tmp_path: Path) -> None:
    times = [40 * k for k in range(12)] + [60_000 + 40 * k for k in range(9)]
    path = write_numbered(tmp_path / "a.mkv", 21, times_ms=times)
    for fps in (None, 25.0):
        plan = plan_clips(str(path), settings(fps=fps))
        assert numbers(plan) == counting((0, 8), (12, 20))
        assert plan.specs[0].info.fps == pytest.approx(25, rel=0.02)


def test_a_change_of_picture_size_ends_the_plan(tmp_path: Path) -> None:
    parts = [
        write_numbered(tmp_path / f"{k}.ts", 12, width=w, height=h, codec="mpeg2video", b_frames=0)
        for k, (w, h) in enumerate([(64, 48), (96, 64)])
    ]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    plan = plan_clips(str(path), settings())
    assert numbers(plan) == counting((0, 8))
    assert plan.error is not None
    assert "size changes to 96x64" in plan.error.message


@pytest.mark.parametrize(
    "keywords, message",
    [
        ({"num_frames": 1}, "num_frames is 1"),
        ({"size": 4}, "size is 4"),
        ({"stride": 0}, "stride is 0"),
        ({"max_clips": 0}, "max_clips is 0"),
        ({"fps": 0.0}, "fps is 0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"fit": "stretch"}, "fit is 'stretch': choose one of crop, fit"),
        ({"cut_threshold": 2.0}, "cut_threshold is 2"),
    ],
)
def test_settings_out_of_range_are_refused(keywords: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**keywords)


def stamps(pts: list[int | None], dts: list[int | None]) -> list[Stamp[None]]:
    return [Stamp(k, p, d, None) for k, (p, d) in enumerate(zip(pts, dts, strict=True))]


def test_the_clock_is_the_first_that_increases() -> None:
    assert frame_clock(stamps([1, 2, 3], [1, 2, 3])) == "pts"
    assert frame_clock(stamps([1, 3, 2], [1, 2, 3])) == "dts"
    assert frame_clock(stamps([1, 3, 2, 4], [1, 2, None, None])) == "dts"
    assert frame_clock(stamps([None, None], [None, None])) == "index"
    assert frame_clock(stamps([1, 1], [2, 2])) == "index"


def test_a_claimed_rate_needs_support() -> None:
    assert believable_rate(30.0, 100, 3.34) == 30.0
    assert believable_rate(30.0, 100, 10.0) == 10.0
    assert believable_rate(0.0, 50, 2.0) == 25.0
    assert believable_rate(30.0, 0, 0.0) == 30.0
    assert believable_rate(float(Fraction(30000, 1001)), 89, 2.97) == pytest.approx(29.97, abs=1e-3)
