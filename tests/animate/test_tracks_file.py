from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from animate.motion import Motion, TracksFileError, motion_for_photo, motion_from_clip
from animate.tracks_file import read_motion, write_motion
from models import grid_queries
from models.animation import Box
from tests.trajectories.made_clips import info, random_clip, write_dataset
from trajectories import ClipTracks

FRAMES, ROWS, COLS = 5, 3, 4


FRAME = Box(20, 10, 80, 60)


def drifting(frame: Box = FRAME) -> Motion:
    """Each point moves by its own velocity; some are half seen."""
    start = grid_queries(1, 1, ROWS, COLS)[:, [2, 1]].reshape(ROWS, COLS, 2)
    start = start * (frame.width, frame.height) + (frame.x, frame.y)
    velocity = np.random.default_rng(0).normal(0, 3, (ROWS, COLS, 2))
    tracks = start + velocity * np.arange(FRAMES)[:, None, None, None]
    visible = np.random.default_rng(1).random((FRAMES, ROWS, COLS), np.float32)
    tracks = np.ascontiguousarray(np.moveaxis(tracks, 3, 1), np.float32)
    return Motion(tracks, visible, frame, (120, 80), 15.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tracks.parquet"
    write_motion(path, drifting())
    return path


def assert_same(one: Motion, other: Motion) -> None:
    np.testing.assert_array_equal(one.tracks, other.tracks)
    np.testing.assert_array_equal(one.visible, other.visible)
    assert (one.frame, one.photo_size, one.fps) == (other.frame, other.photo_size, other.fps)


def test_a_motion_comes_back_exactly(path: Path) -> None:
    motion = read_motion(path)
    assert_same(motion, drifting())
    assert motion.tracks.dtype == motion.visible.dtype == np.float32
    assert [file.name for file in path.parent.iterdir()] == ["tracks.parquet"]


def test_a_frame_beyond_the_photo_and_odd_numbers_come_back(tmp_path: Path) -> None:
    motion = replace(drifting(Box(-1 / 3, -20, 121.7, 1e3)), fps=30000 / 1001)
    write_motion(tmp_path / "tracks.parquet", motion)
    assert_same(read_motion(tmp_path / "tracks.parquet"), motion)


def test_visibility_may_be_yes_or_no(tmp_path: Path) -> None:
    motion = drifting()
    write_motion(tmp_path / "tracks.parquet", replace(motion, visible=motion.visible > 0.5))
    read = read_motion(tmp_path / "tracks.parquet")
    np.testing.assert_array_equal(read.visible, (motion.visible > 0.5).astype(np.float32))


def test_positions_are_where_sql_looks_for_them(path: Path) -> None:
    motion = drifting()
    found = duckdb.execute(
        f"SELECT x[3], y[3], visible[3] FROM '{path}' WHERE row = 2 AND col = 1"
    ).fetchall()
    assert found[0] == pytest.approx(
        (*motion.tracks[2, :, 2, 1], motion.visible[2, 2, 1]), rel=1e-6
    )


def test_what_duckdb_edited_is_read(path: Path, tmp_path: Path) -> None:
    edited = tmp_path / "edited.parquet"
    duckdb.execute(
        "COPY (SELECT * REPLACE (list_transform(x, lambda v, t: v + 2 * (t - 1)) AS x, "
        "list_transform(visible, lambda v: v > 0.5) AS visible) "
        f"FROM '{path}' ORDER BY random()) TO '{edited}'"
    )
    motion, original = read_motion(edited), drifting()
    shift = 2 * np.arange(FRAMES, dtype=np.float32)[:, None, None]
    np.testing.assert_allclose(motion.tracks[:, 0], original.tracks[:, 0] + shift, rtol=1e-6)
    np.testing.assert_array_equal(motion.tracks[:, 1], original.tracks[:, 1])
    np.testing.assert_array_equal(motion.visible, original.visible > 0.5)
    assert (motion.frame, motion.photo_size, motion.fps) == (
        original.frame,
        original.photo_size,
        original.fps,
    )


def test_other_types_of_lists_and_numbers_are_read(path: Path) -> None:
    # What pandas and polars write: doubles, large lists, more columns, and no metadata.
    def loose(table: pa.Table) -> pa.Table:
        table = table.replace_schema_metadata(None).append_column("name", pa.array(["p"] * 12))
        table = table.set_column(0, "row", table["row"].cast(pa.int64()))
        return table.set_column(2, "x", table["x"].cast(pa.large_list(pa.float64())))

    rewrite(path, loose)
    assert_same(read_motion(path), drifting())


def test_a_larger_photo_has_larger_motions() -> None:
    larger = motion_for_photo(drifting(), (240, 160))
    np.testing.assert_allclose(larger.tracks, drifting().tracks * 2, rtol=1e-6)
    assert (larger.frame, larger.photo_size) == (Box(40, 20, 160, 120), (240, 160))
    assert_same(motion_for_photo(larger, (120, 80)), drifting())


def test_a_rounded_side_is_the_same_photo() -> None:
    scaled = motion_for_photo(drifting(), (1024, 683))
    np.testing.assert_allclose(scaled.tracks[:, 1], drifting().tracks[:, 1] * (683 / 80), rtol=1e-6)
    assert scaled.frame.width == pytest.approx(80 * 1024 / 120)


@pytest.mark.parametrize("size", [(80, 120), (123, 80), (120, 120)])
def test_another_photo_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(TracksFileError, match=f"120x80 pixels, this one has {size[0]}x{size[1]}"):
        motion_for_photo(drifting(), size)


def grid_clip(rows: int = 4, cols: int = 8, shuffle: bool = False) -> ClipTracks:
    """One pixel to the right in each frame; the tracker is off by half a pixel in all of them."""
    queries = grid_queries(256, 256, rows, cols)
    if shuffle:
        queries = queries[np.random.default_rng(0).permutation(len(queries))]
    steps = np.arange(8, dtype=np.float32)[:, None] * np.array([1, 0], np.float32)
    tracks = queries[:, None, [2, 1]] + steps + np.float32(0.5)
    visible = np.ones((len(queries), 8), bool)
    visible[queries[:, 2] > 200, 4:] = False
    return ClipTracks(info(), queries, tracks, visible, np.zeros((len(queries), 8), np.float32))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_clip_on_a_grid_is_a_motion(shuffle: bool) -> None:
    motion = motion_from_clip(grid_clip(shuffle=shuffle))
    assert motion.tracks.shape == (8, 2, 4, 8)
    np.testing.assert_allclose(motion.tracks[3, 0, 1], (np.arange(8) + 0.5) * 32 + 3)
    np.testing.assert_allclose(motion.tracks[3, 1, :, 2], (np.arange(4) + 0.5) * 64)
    np.testing.assert_array_equal(motion.visible[5, 0], [1, 1, 1, 1, 1, 1, 0, 0])
    assert (motion.frame, motion.photo_size, motion.fps) == (Box(0, 0, 256, 256), (256, 256), 24.0)


def test_a_clip_is_read_from_its_dataset(tmp_path: Path) -> None:
    clip = grid_clip()
    write_dataset(tmp_path / "tracks", {"a": [clip]})
    motion = read_motion(f"{tmp_path / 'tracks'}#{clip.info.clip_id[:6]}")
    np.testing.assert_allclose(motion.tracks, motion_from_clip(clip).tracks, atol=1 / 32)


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (lambda q: q[:-1], "no regular grid"),
        (lambda q: np.concatenate((q[:-1], q[:1])), "no regular grid"),
        (lambda q: q + np.array([0, 0, 9], np.float32) * (q[:, 2:] > 200), "no regular grid"),
        (lambda q: q[:8], "no regular grid"),
        (lambda q: q + np.array([1, 0, 0], np.float32), "not all of its query points are in frame"),
    ],
)
def test_other_clips_are_refused(spoil: Callable[[np.ndarray], np.ndarray], complaint: str) -> None:
    clip = grid_clip()
    queries = spoil(clip.queries)
    count = len(queries)
    odd = replace(
        clip,
        queries=queries,
        tracks=clip.tracks[:count],
        visible=clip.visible[:count],
        uncertainty=clip.uncertainty[:count],
    )
    with pytest.raises(TracksFileError, match=rf"clip {clip.info.clip_id}: .*{complaint}"):
        motion_from_clip(odd)


def test_a_dataset_without_the_clip_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path / "tracks", {"a": [random_clip(0)]})
    with pytest.raises(ValueError, match="no clip 'zz' among the 1"):
        read_motion(f"{tmp_path / 'tracks'}#zz")
    with pytest.raises(TracksFileError, match=r"is a folder: .*#CLIP_ID"):
        read_motion(tmp_path / "tracks")


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path, pre_buffer=False)), path)


def with_values(name: str, index: int, value: object) -> Callable[[pa.Table], pa.Table]:
    """The table with another value in row `index` of a column."""

    def change(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[index] = value
        return table.set_column(table.schema.get_field_index(name), name, pa.array(values))

    return change


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda t: t.drop_columns(["visible", "fps"]), "no column visible, fps"),
        (lambda t: t.slice(0, 0), "holds no points"),
        (lambda t: t.slice(1), "lacks 1 of the 12 points of its grid of 3 rows and 4 columns"),
        (lambda t: pa.concat_tables([t, t.slice(3, 2)]), "has 2 points of the grid twice"),
        (with_values("row", 0, -1), "rows or columns that are not 0, 1, 2"),
        (with_values("col", 0, None), "column col has rows without a number"),
        (with_values("x", 3, [1.0, 2.0]), "column x has lists of 2 to 5 frames"),
        (with_values("x", 3, None), "column x has lists of 0 to 5 frames"),
        (with_values("x", 0, [30.0, np.nan, 2.0, np.inf, 2.0]), "2 of 60 positions are infinite"),
        (with_values("y", 0, [20.0, None, 2.0, 1e39, 2.0]), "2 of 60 positions are infinite"),
        (with_values("visible", 0, [1.0, 1.0, 2.0, 1.0, 1.0]), "not between 0 and 1"),
        (with_values("visible", 0, [1.0, 1.0, None, 1.0, 1.0]), "not between 0 and 1"),
        (with_values("fps", 5, 24.0), "column fps differs between rows"),
        (with_values("x", 0, [0.0] * 5), "1 of 12 points do not start in their cells"),
        (
            lambda t: t.set_column(2, "x", pa.array(["1,2"] * 12)),
            "column x is string: must hold li",
        ),
        (lambda t: t.set_column(2, "x", pa.array([["1"]] * 12)), r"1 values of x at each point, 5"),
        (lambda t: t.set_column(2, "x", pa.array([["a"]] * 12)), "column x holds string"),
        (lambda t: t.set_column(2, "x", pa.array([[b"a"]] * 12)), "column x holds binary"),
        (lambda t: t.replace_schema_metadata({"tapirus.animation.version": "9"}), "has version 9"),
    ],
)
def test_a_spoiled_file_is_refused(
    path: Path, change: Callable[[pa.Table], pa.Table], complaint: str
) -> None:
    rewrite(path, change)
    with pytest.raises(TracksFileError, match=complaint) as error:
        read_motion(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["frame_width", "frame_height", "photo_width", "fps"])
def test_facts_out_of_range_are_refused(path: Path, name: str) -> None:
    def zero(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.get_field_index(name), name, pa.array([0.0] * 12))

    rewrite(path, zero)
    with pytest.raises(TracksFileError, match=name.partition("_")[0]):
        read_motion(path)


def test_a_single_frame_is_refused(path: Path) -> None:
    def first(table: pa.Table) -> pa.Table:
        for name in ("x", "y", "visible"):
            column = pa.array([values[:1] for values in table[name].to_pylist()])
            table = table.set_column(table.schema.get_field_index(name), name, column)
        return table

    rewrite(path, first)
    with pytest.raises(TracksFileError, match="holds 1 frame: a motion needs two or more"):
        read_motion(path)


def test_what_is_no_whole_parquet_file_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(TracksFileError, match=r"gone\.parquet: there is no such file"):
        read_motion(tmp_path / "gone.parquet")
    with pytest.raises(TracksFileError, match="there is no such file"):
        read_motion(path / "below.parquet")
    text = tmp_path / "text.parquet"
    text.write_text("x,y\n1,2\n")
    with pytest.raises(TracksFileError, match="is no Parquet file"):
        read_motion(text)
    text.write_bytes(b"")
    with pytest.raises(TracksFileError, match="is no Parquet file"):
        read_motion(text)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(TracksFileError, match="is truncated or damaged") as error:
        read_motion(path)
    assert "\n" not in str(error.value)


def test_damaged_pages_are_refused_or_harmless(path: Path) -> None:
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        spoiled = bytearray(content)
        for place in rng.integers(4, len(content) - 8, 8):
            spoiled[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(spoiled))
        with suppress(TracksFileError):
            read_motion(path)


def test_a_failed_write_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = path.read_bytes()
    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_motion(path, replace(drifting(), fps=12.0))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(TracksFileError, match=r"there is no folder .*nowhere to write to"):
        write_motion(tmp_path / "nowhere" / "tracks.parquet", drifting())
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(TracksFileError, match=r"cannot write .*folder\.parquet"):
        write_motion(tmp_path / "folder.parquet", drifting())
    assert [file.name for file in tmp_path.iterdir()] == ["folder.parquet"]


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"tracks": np.zeros((5, 3, 3, 4), np.float32)}, r"must be float32 \[t, 2, rows, cols\]"),
        ({"tracks": drifting().tracks.astype(np.float64)}, "tracks are float64"),
        ({"visible": np.ones((5, 4, 3), np.float32)}, r"visible is \[5, 4, 3\]"),
        ({"visible": np.ones((5, 3, 4), np.int64)}, "visible is int64"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    change: dict[str, np.ndarray], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(drifting(), **change)
