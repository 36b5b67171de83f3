"""`tapirus track` with a tracker whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli.points import check_points, parse_points
from pipelines.video import read_video
from tests.pipelines.cli.cli_makers import (
    HEIGHT,
    WIDTH,
    BadFiles,
    Outcome,
    StubTracker,
    make_video,
)

Run = Callable[..., Outcome]


def test_points_are_x_y_and_frame() -> None:
    points = parse_points(" 120,80.5@3 ; 4,5;; 6 , 7 @ ")
    np.testing.assert_array_equal(points, [[3, 80.5, 120], [0, 5, 4], [0, 7, 6]])
    assert points.dtype == np.float32


@pytest.mark.parametrize("text", ["12", "1,2,3", "a,b", "1,2@x", "1,2;3", "1;2"])
def test_a_bad_point_is_shown(text: str) -> None:
    with pytest.raises(ValueError, match="is not a point: write x,y@t"):
        parse_points(text)


def test_no_points_are_an_error() -> None:
    with pytest.raises(ValueError, match="no points given"):
        parse_points(" ; ")


def test_the_video_ends_at_its_last_corner_and_frame() -> None:
    check_points(parse_points("0,0@0;64,48@9"), 10, 48, 64)
    for text in ("64.5,0", "0,48.5", "-1,0", "0,0@9.5", "0,0@-1", "nan,0"):
        with pytest.raises(ValueError, match="lies outside the video"):
            check_points(parse_points(text), 10, 48, 64)


def test_a_grid_is_tracked_at_one_size_and_drawn_at_another(
    tapirus: Run, stub_tracker: StubTracker, tmp_path: Path
) -> None:
    wide = make_video(tmp_path / "wide.mp4", 10, height=48, width=128)
    words = ("--grid", 2, "--size", 64, "--show-size", 96)
    outcome = tapirus("track", wide, "-o", tmp_path / "over.mp4", *words)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        f"{tmp_path / 'over.mp4'}: 4 points through 10 frames of wide.mp4, "
        "visible 100% of the time\n"
    )
    assert stub_tracker.video.shape == (10, 24, 64, 3)
    expected = [[0, 6, 16], [0, 6, 48], [0, 18, 16], [0, 18, 48]]
    np.testing.assert_allclose(stub_tracker.queries, expected)
    drawn = read_video(tmp_path / "over.mp4")
    assert len(drawn.frames) == 10
    assert drawn.fps == pytest.approx(24)
    height, width = drawn.frames.shape[1:3]
    assert width / height == pytest.approx(96 / 36)


def test_points_are_in_pixels_of_the_file(
    tapirus: Run, stub_tracker: StubTracker, tmp_path: Path, video: Path
) -> None:
    # Half the width of 64, and 3/4 of the height of 48.
    points = ("--points", "32,36@5;0,0", "--size", 32)
    assert tapirus("track", video, "-o", tmp_path / "o.gif", *points).code == 0
    assert stub_tracker.video.shape[1:3] == (24, 32)
    np.testing.assert_allclose(stub_tracker.queries, [[5, 18, 16], [0, 0, 0]])
    assert len(read_video(tmp_path / "o.gif").frames) == 16


def test_a_point_outside_is_named_as_it_was_typed(
    tapirus: Run, stub_tracker: StubTracker, tmp_path: Path, video: Path
) -> None:
    words = ("--points", "10,20;65,20@3", "--size", 32)
    outcome = tapirus("track", video, "-o", tmp_path / "o.mp4", *words)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        f"tapirus: point 65,20@3 lies outside the video: x goes from 0 to {WIDTH}, "
        f"y to {HEIGHT}, t to 15\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_long_video_is_cut_and_says_so(
    tapirus: Run, stub_tracker: StubTracker, tmp_path: Path, video: Path
) -> None:
    outcome = tapirus("track", video, "-o", tmp_path / "o.mp4", "--max-frames", 6)
    assert outcome.code == 0
    assert outcome.err == "the first 6 frames; --max-frames tracks more\n"
    assert len(stub_tracker.video) == 6
    assert len(read_video(tmp_path / "o.mp4").frames) == 6
    exact = tapirus("track", video, "-o", tmp_path / "o.mp4", "--max-frames", 16)
    assert (exact.code, exact.err) == (0, "")


def test_a_video_of_one_frame(tapirus: Run, stub_tracker: StubTracker, tmp_path: Path) -> None:
    one = make_video(tmp_path / "one.mp4", 1)
    assert tapirus("track", one, "-o", tmp_path / "o.mp4", "--grid", 2).code == 0
    assert len(read_video(tmp_path / "o.mp4").frames) == 1


def test_a_damaged_video_is_drawn_as_far_as_it_goes(
    tapirus: Run, stub_tracker: StubTracker, tmp_path: Path
) -> None:
    long = make_video(tmp_path / "long.mp4", 40, 32, 32)
    data = bytearray(long.read_bytes())
    third = len(data) // 3
    data[third : third + 400] = bytes(400)
    long.write_bytes(data)
    outcome = tapirus("track", long, "-o", tmp_path / "o.mp4", "--grid", 2)
    assert outcome.code == 0
    assert len(outcome.err.splitlines()) == 1
    assert f"tapirus: {long}: damaged after" in outcome.err
    assert 0 < len(stub_tracker.video) < 40


def test_each_bad_file_is_one_line(
    tapirus: Run, stub_tracker: StubTracker, tmp_path: Path, bad_files: BadFiles
) -> None:
    for name in (*bad_files.names, "."):
        path = bad_files.folder / name
        outcome = tapirus("track", path, "-o", tmp_path / "o.mp4")
        assert (outcome.code, outcome.out) == (1, ""), name
        assert outcome.err.startswith(f"tapirus: {path}: "), name
        assert len(outcome.err.splitlines()) == 1, name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words,code,text",
    [
        (("-o", "{tmp}/o.avi"), 2, "ends in .mp4 or .gif"),
        (("-o", "{tmp}/none/o.mp4"), 1, "there is no folder"),
        (("-o", "{tmp}/file/o.mp4"), 1, "there is no folder"),
        (("-o", "{tmp}/folder.mp4"), 1, "is a folder"),
        (("-o", "{video}"), 2, "give -o another name"),
        (("-o", "{tmp}/o.mp4", "--grid", "2", "--points", "1,1"), 2, "not both"),
        (("-o", "{tmp}/o.mp4", "--grid", "0"), 2, "--grid"),
        (("-o", "{tmp}/o.mp4", "--max-frames", "0"), 2, "--max-frames"),
        (("-o", "{tmp}/o.mp4", "--dtype", "int7"), 2, "bfloat16"),
        (("-o", "{tmp}/o.mp4", "--device", "abacus"), 1, "--device abacus cannot be used"),
        (("-o", "{tmp}/o.mp4", "--tracker", "tapioca"), 1, "choose one of"),
        (("-o", "{tmp}/o.mp4", "--checkpoint", "{tmp}/none.pt"), 1, "none.pt: no such file"),
        (("-o", "{tmp}/o.mp4", "--checkpoint", "{tmp}/file.pt"), 1, "file.pt: "),
    ],
)
def test_what_cannot_work_is_refused(
    tapirus: Run, tmp_path: Path, video: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file.pt").write_text("no weights")
    (tmp_path / "folder.mp4").mkdir()
    before = video.read_bytes()
    filled = [word.format(tmp=tmp_path, video=video) for word in words]
    outcome = tapirus("track", video, *filled)
    assert (outcome.code, outcome.out) == (code, "")
    assert text in outcome.err.splitlines()[-1]
    assert len(outcome.err.splitlines()) == (1 if code == 1 else 4)
    assert video.read_bytes() == before
    assert not (tmp_path / "o.mp4").exists()
