"""SQL over datasets equals brute force over the decoded arrays."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trajectories.made_clips import random_clip, write_dataset
from trajectories import (
    ClipTracks,
    Dataset,
    Failure,
    QueryError,
    StorageError,
    fetch_result,
    write_result,
)
from trajectories.schema import SCHEMAS

SIZES = [(9, 8), (1, 1), (7, 3), (0, 5), (25, 24), (2, 1), (3, 5), (4, 4), (11, 9), (6, 2)]


def _clips(source: str) -> list[ClipTracks]:
    return [
        random_clip(i, num_tracks=n, num_frames=t, source=source, start_s=i)
        for i, (n, t) in enumerate(SIZES)
    ]


@pytest.fixture(scope="module", params=["disk", "memory"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    # Characters that SQL and file patterns would take for their own.
    folder = "it's [1] *?/a=3"
    if request.param == "disk":
        root = str(tmp_path_factory.mktemp("sql") / folder)
    else:
        root = "memory://sql/plain"
    return write_dataset(root, {"s0": _clips("/v/a.mp4"), "s1": _clips("/v/b.mp4")})


def _rows(clips: list[ClipTracks]) -> set[tuple]:
    return {
        (
            clip.info.clip_id,
            n,
            t,
            float(clip.tracks[n, t, 0]),
            float(clip.tracks[n, t, 1]),
            bool(clip.visible[n, t]),
            float(clip.uncertainty[n, t]),
        )
        for clip in clips
        for n in range(len(clip))
        for t in range(clip.info.num_frames)
    }


def test_points_equal_the_arrays(dataset: Dataset) -> None:
    rows = dataset.sql(
        "SELECT clip_id, track, t, x, y, visible, uncertainty FROM points"
    ).fetchall()
    expected = _rows(list(dataset))
    assert len(rows) == len(expected) == 2 * sum(n * t for n, t in SIZES)
    assert set(rows) == expected
    types = [str(kind) for kind in dataset.sql("SELECT * FROM points").types]
    assert types == ["VARCHAR", "INTEGER", "INTEGER", "FLOAT", "FLOAT", "BOOLEAN", "FLOAT"]


def test_clip_and_track_points(dataset: Dataset) -> None:
    clip = list(dataset)[4]
    identity = clip.info.clip_id
    rows = dataset.sql(f"FROM clip_points('{identity}')").fetchall()
    assert set(rows) == _rows([clip])
    assert len(rows) == 25 * 24
    rows = dataset.sql(f"FROM track_points('{identity}', 7) ORDER BY t").fetchall()
    assert [row[2] for row in rows] == list(range(24))
    np.testing.assert_array_equal([row[3:5] for row in rows], clip.tracks[7])
    assert dataset.sql("FROM clip_points('nosuch')").fetchall() == []


def test_source_points(dataset: Dataset) -> None:
    clip = list(dataset)[4]
    info = clip.info
    rows = dataset.sql(
        f"SELECT track, t, seconds, x, y FROM source_points('{info.clip_id}') ORDER BY track, t"
    ).fetchall()
    scale = info.crop_width / info.width
    expected = clip.tracks.astype(np.float64) * scale + [info.crop_x, info.crop_y]
    np.testing.assert_allclose([r[3:] for r in rows], expected.reshape(-1, 2), rtol=1e-12)
    np.testing.assert_allclose([r[2] for r in rows[:24]], info.start_s + np.arange(24) / 24)


@pytest.mark.parametrize("frame", [-1, 0, 2, 7, 23, 24])
def test_visible_at(dataset: Dataset, frame: int) -> None:
    rows = dataset.sql(f"FROM visible_at({frame})").fetchall()
    expected = {(*r[:5], r[6]) for r in _rows(list(dataset)) if r[2] == frame and r[5]}
    assert set(rows) == expected
    assert len(rows) == len(expected)
    assert bool(rows) == (0 <= frame < 24)


def test_in_box(dataset: Dataset) -> None:
    rows = dataset.sql("FROM in_box(40, 60, 150, 200)").fetchall()
    expected = set()
    for clip in dataset:
        x, y = clip.tracks[..., 0], clip.tracks[..., 1]
        inside = clip.visible & (x >= 40) & (x < 150) & (y >= 60) & (y < 200)
        for n in np.flatnonzero(inside.any(axis=1)):
            frames = np.flatnonzero(inside[n])
            expected.add((clip.info.clip_id, n, frames[0], frames[-1], len(frames)))
    assert set(rows) == expected
    assert len(rows) == len(expected) > 10


def test_track_columns_follow_from_points(dataset: Dataset) -> None:
    """The scalar columns are what SQL computes from the dense arrays."""
    rows = dataset.sql(
        """WITH seen AS (
               SELECT clip_id, track, arg_min((x, y), t) AS a, arg_max((x, y), t) AS b
               FROM points WHERE visible GROUP BY clip_id, track)
           SELECT displacement, sqrt((a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2), end_x, b[1]
           FROM tracks JOIN seen USING (clip_id, track)"""
    ).fetchall()
    values = np.array(rows)
    assert len(values) > 50
    np.testing.assert_allclose(values[:, 0], values[:, 1], atol=1 / 2048 + 1e-5)
    np.testing.assert_array_equal(values[:, 2], values[:, 3])
    rows = dataset.sql(
        """SELECT c.mean_displacement, avg(displacement),
                  c.median_displacement, median(displacement),
                  c.p90_displacement, quantile_cont(displacement::DOUBLE, 0.9),
                  c.moving_fraction, avg((displacement > 2)::INT)
           FROM tracks t JOIN clips c USING (clip_id)
           GROUP BY clip_id, c.mean_displacement, c.median_displacement,
                    c.p90_displacement, c.moving_fraction"""
    ).fetchall()
    values = np.array(rows, dtype=float)
    assert len(values) == 18
    np.testing.assert_allclose(values[:, 0::2], values[:, 1::2], rtol=1e-5)


def test_filters_reach_the_files(dataset: Dataset) -> None:
    """A clip's points are computed from that clip alone."""
    identity = list(dataset)[4].info.clip_id
    plan = dataset.sql(f"EXPLAIN FROM clip_points('{identity}')").fetchall()[0][1]
    scan = plan[plan.upper().rindex("PARQUET") :]
    assert f"clip_id = '{identity}'" in " ".join(scan.replace("│", " ").split())


def test_tables_without_files_have_their_columns(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, {})
    for table, view in {"clips": "clips", "tracks": "tracks", "failures": "failures"}.items():
        result = fetch_result(dataset.sql(f"SELECT * FROM {view}"))
        assert result.num_rows == 0
        more = ["replay"] if table == "failures" else []
        assert result.schema.names == SCHEMAS[table].names + more
    assert dataset.sql("SELECT count(*) FROM points").fetchall() == [(0,)]
    assert dataset.sql("FROM visible_at(0)").fetchall() == []


def test_failures_can_be_asked_for(tmp_path: Path) -> None:
    failure = Failure("/v/bad.mp4", None, None, None, "open", "VideoError", "empty", 1)
    dataset = write_dataset(tmp_path, {"s": []}, [failure])
    assert dataset.sql("SELECT source, clip_id FROM failures").fetchall() == [("/v/bad.mp4", None)]


@pytest.mark.parametrize(
    "query, words",
    [
        ("SELEC 1", "Parser Error: syntax error"),
        ("SELECT * FROM nosuch", "nosuch.*views are clips, tracks, points, failures"),
        ("SELECT speed FROM tracks", '"speed" not found.*speed'),
        ("SELECT nosuch(1)", "nosuch"),
        ("", "a dataset is only read"),
        ("DROP VIEW clips", "a dataset is only read"),
        ("CREATE TABLE copy AS SELECT * FROM clips", "a dataset is only read"),
        ("SELECT 1; SELECT 2", "give one SELECT"),
        ("SELECT source::INT FROM clips", "Could not convert string '/videos/a.mp4'"),
    ],
)
def test_wrong_queries(tmp_path: Path, query: str, words: str) -> None:
    dataset = write_dataset(tmp_path, {"s": [random_clip(0)]})
    with pytest.raises(QueryError, match=words) as caught:
        fetch_result(dataset.sql(query))
    assert "\n" not in str(caught.value)


def test_a_file_that_vanishes(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, {"s": [random_clip(0)]})
    (tmp_path / "points" / "s.parquet").unlink()
    with pytest.raises(QueryError, match=r"points/s\.parquet"):
        dataset.sql("SELECT 1")


READERS: dict[str, Callable[[Path], list[dict]]] = {
    "csv": lambda path: duckdb.read_csv(str(path)).to_arrow_table().to_pylist(),
    "parquet": lambda path: pq.read_table(path).to_pylist(),
    "json": lambda path: json.loads(path.read_text()),
    "jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
}


@pytest.mark.parametrize("suffix", READERS)
def test_results_are_written(tmp_path: Path, suffix: str) -> None:
    dataset = write_dataset(tmp_path / "d", {"s": _clips("/v/a.mp4")})
    result = dataset.sql("SELECT clip_id, num_tracks FROM clips ORDER BY start_s")
    path = tmp_path / f"it's.{suffix.upper()}"
    for _ in range(2):  # an existing file is replaced
        write_result(result, path)
        assert READERS[suffix](path) == fetch_result(result).to_pylist()
    assert sorted(os.listdir(tmp_path)) == ["d", path.name]


def test_results_go_to_urls_and_bare_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    dataset = write_dataset(tmp_path / "d", {"s": [random_clip(0)]})
    result = dataset.sql("SELECT num_tracks FROM clips")
    write_result(result, "memory://top.csv")
    assert fsspec.filesystem("memory").cat("/top.csv") == b"num_tracks\n9\n"
    monkeypatch.chdir(tmp_path)
    write_result(result, "bare.csv")
    assert (tmp_path / "bare.csv").read_bytes() == b"num_tracks\n9\n"


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "d", {"s": [random_clip(0)]})
    with pytest.raises(QueryError, match=r"r\.txt: give a name that ends in \.csv"):
        write_result(dataset.sql("SELECT 1"), tmp_path / "r.txt")
    with pytest.raises(QueryError, match="Could not convert"):
        write_result(dataset.sql("SELECT source::INT FROM clips"), tmp_path / "r.csv")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="a file stands where"):
        write_result(dataset.sql("SELECT 1"), tmp_path / "file" / "r.csv")
    assert sorted(os.listdir(tmp_path)) == ["d", "file"]


def test_a_limit(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, {"s": _clips("/v/a.mp4")})
    result = fetch_result(dataset.sql("SELECT * FROM clips"), limit=3)
    assert isinstance(result, pa.Table)
    assert result.num_rows == 3


def test_failures_tell_the_command_that_runs_them_again(tmp_path: Path) -> None:
    root = tmp_path / "my tracks"
    odd = "/v/it's.mp4"
    failures = [
        Failure("/v/a.mp4", "0" * 32, 3.0, 4.0, "track", "ActorDiedError", "killed", 3),
        Failure(odd, None, None, None, "open", "VideoError", "no video", 1),
    ]
    dataset = write_dataset(root, {"s": [random_clip(1)]}, failures)
    rows = fetch_result(dataset.sql("SELECT replay FROM failures ORDER BY clip_id NULLS LAST"))
    commands = [shlex.split(command) for command in rows["replay"].to_pylist()]
    start = ["tapirus", "replay", str(root)]
    assert commands == [[*start, "0" * 32], [*start, odd]]
