"""Datasets are opened, refused, and read back as they were written."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.trajectories.made_clips import SPEC, random_clip, write_dataset
from trajectories import (
    ClipTracks,
    Dataset,
    DatasetError,
    Failure,
    create_dataset,
    decode_clip,
    describe,
    encode_clip,
    open_dataset,
)
from trajectories.schema import SCHEMA_VERSION, SCHEMAS

FAILURE = Failure("/v/bad.mp4", None, None, None, "open", "VideoError", "empty file", 1)


def _clips(count: int, source: str) -> list[ClipTracks]:
    return [random_clip(i, num_tracks=i % 4 * 3, source=source, start_s=i) for i in range(count)]


@pytest.fixture(params=["disk", "memory"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    root = str(tmp_path / "d") if request.param == "disk" else f"memory://{tmp_path.name}/d"
    return write_dataset(
        root, {"s0": _clips(19, "/v/a.mp4"), "s1": _clips(3, "/v/b.mp4")}, [FAILURE]
    )


def _same(clip: ClipTracks, written: ClipTracks) -> None:
    expected = decode_clip(encode_clip(written))
    assert clip.info == expected.info
    for name in ("queries", "tracks", "visible", "uncertainty"):
        np.testing.assert_array_equal(getattr(clip, name), getattr(expected, name))


def test_everything_comes_back(dataset: Dataset) -> None:
    written = _clips(19, "/v/a.mp4") + _clips(3, "/v/b.mp4")
    assert len(dataset) == 22
    read = list(dataset)
    assert len(read) == 22
    for clip, expected in zip(read, written, strict=True):
        _same(clip, expected)
    for expected in written:
        _same(dataset.clip(expected.info.clip_id), expected)
    assert dataset.spec == SPEC
    assert dataset.failures().to_pylist() == [dataclasses.asdict(FAILURE)]


def test_tables(dataset: Dataset) -> None:
    clips = dataset.clips()
    assert clips.num_rows == 22
    assert clips.schema.names == SCHEMAS["clips"].names
    written = {c.info.clip_id: encode_clip(c) for c in _clips(19, "/v/a.mp4")}
    for row in clips.to_pylist():
        encoded = written.get(row["clip_id"])
        if encoded:
            for name, value in encoded.clip_stats.items():
                assert row[name] == pytest.approx(value, rel=1e-6)
    tracks = dataset.tracks(["clip_id", "track", "displacement"], pc.field("displacement") > 5)
    displacement = dataset.tracks()["displacement"].to_numpy()
    assert 0 < tracks.num_rows == (displacement > 5).sum() < len(displacement)
    with pytest.raises(DatasetError, match="tracks has no column speed; it has clip_id, track"):
        dataset.tracks(["speed"])


def test_a_prefix_of_the_id_will_do(dataset: Dataset) -> None:
    ids = sorted(dataset.clips(["clip_id"])["clip_id"].to_pylist())
    first, second = ids[:2]
    shared = next(i for i in range(32) if first[i] != second[i])
    assert dataset.clip(first[: shared + 1]).info.clip_id == first
    with pytest.raises(DatasetError, match=r"'' is the start of 22 clip ids .*give more digits"):
        dataset.clip("")
    with pytest.raises(DatasetError, match="no clip 'xyz' among the 22"):
        dataset.clip("xyz")


def test_a_stream_holds_one_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_dataset(tmp_path, {"s": _clips(19, "/v/a.mp4")})
    read: list[int] = []
    read_row_group = pq.ParquetFile.read_row_group

    def spy(self: Any, index: int, *rest: Any, **options: Any) -> Any:
        read.append(index)
        return read_row_group(self, index, *rest, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    progress = [list(read) for _ in dataset]
    assert progress[0] == progress[7] == [0]
    assert progress[8] == progress[15] == [0, 1]
    assert progress[18] == [0, 1, 2]


def test_uncommitted_files_are_not_seen(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"s0": _clips(3, "/v/a.mp4"), "s1": _clips(4, "/v/b.mp4")}, [FAILURE])
    (tmp_path / "commits" / "s0.json").unlink()
    dataset = open_dataset(tmp_path)
    assert len(dataset) == len(list(dataset)) == dataset.clips().num_rows == 4
    assert dataset.failures().num_rows == 0
    assert dataset.sql("SELECT DISTINCT source FROM clips").fetchall() == [("/v/b.mp4",)]


def test_the_same_spec_opens_what_is_there(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"s": _clips(2, "/v/a.mp4")})
    same = dataclasses.replace(
        SPEC, tapirus_version="9.9", settings={"size": 256, "grid": (16, 16)}
    )
    assert len(create_dataset(tmp_path, same)) == 2


def test_other_settings_are_listed(tmp_path: Path) -> None:
    create_dataset(tmp_path, SPEC)
    other = dataclasses.replace(SPEC, weights_digest="f" * 64, settings={"size": 128, "fps": 12.0})
    with pytest.raises(DatasetError) as caught:
        create_dataset(tmp_path, other)
    text = str(caught.value)
    assert "settings.size: there 256, now 128" in text
    assert "settings.grid: there [16, 16], now not set" in text
    assert "settings.fps: there not set, now 12.0" in text
    assert "weights_digest" in text
    assert "tracker" not in text
    assert "\n" not in text


def test_settings_are_json(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must be JSON values"):
        create_dataset(tmp_path / "d", dataclasses.replace(SPEC, settings={"a": {1, 2}}))


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    with pytest.raises(DatasetError, match=r"holds other files and no dataset\.json"):
        create_dataset(tmp_path, SPEC)
    assert os.listdir(tmp_path) == ["clips"]


def test_a_creation_cut_short_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / ".dataset.01234567.tmp").write_text("{")
    assert len(create_dataset(tmp_path, SPEC)) == 0


def test_what_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "dataset.json").write_text("{")
    for name, words in {
        "missing": "there is nothing at this path",
        "empty": "there is nothing at this path",
        "file": "it is a file",
        "broken": "does not describe a dataset",
    }.items():
        with pytest.raises(DatasetError, match=words) as caught:
            open_dataset(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match=r"it has no dataset\.json; give the folder"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="there is nothing"):
        open_dataset("memory://nothing-here")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    create_dataset(tmp_path, SPEC)
    path = tmp_path / "dataset.json"
    newer = json.loads(path.read_text()) | {"schema_version": SCHEMA_VERSION + 1, "unheard_of": 1}
    path.write_text(json.dumps(newer))
    for call in (lambda: open_dataset(tmp_path), lambda: create_dataset(tmp_path, SPEC)):
        with pytest.raises(DatasetError, match=r"schema version 2, .* up to 1: upgrade tapirus"):
            call()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, {"s": _clips(2, "/v/a.mp4")})
    identity = dataset.clips()["clip_id"][1].as_py()
    (tmp_path / "points" / "s.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "tracks" / "s.parquet").unlink()
    for call in (lambda: dataset.clip(identity), lambda: list(dataset), dataset.tracks):
        with pytest.raises(DatasetError, match="missing or damaged") as caught:
            call()
        assert str(tmp_path) in str(caught.value)


def test_every_file_explains_itself(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"s": _clips(9, "/v/a.mp4")}, [FAILURE])
    for table, schema in SCHEMAS.items():
        file = pq.ParquetFile(tmp_path / table / "s.parquet")
        assert file.schema_arrow.metadata[b"tapirus.schema_version"] == b"1"
        for field in file.schema_arrow:
            assert (
                field.metadata[b"description"] == schema.field(field.name).metadata[b"description"]
            )
            assert b"unit" in field.metadata
    assert pq.ParquetFile(tmp_path / "points" / "s.parquet").num_row_groups == 2


def test_the_schema_page_names_every_column() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dataset.md").read_text()
    text = describe()
    assert f"Schema version {SCHEMA_VERSION}" in page
    for table, schema in SCHEMAS.items():
        section = page.partition(f"### `{table}`")[2].partition("\n### ")[0]
        for field in schema:
            assert f"| `{field.name}` |" in section, (table, field.name)
            assert field.name in text


def test_importing_is_light() -> None:
    code = (
        "import sys, trajectories; heavy = ('duckdb', 'fsspec', 'torch', 'ray', 'apache_beam'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert output.strip() == "[]"


def test_row_groups_can_be_read_in_any_order(dataset: Dataset) -> None:
    written = _clips(19, "/v/a.mp4")
    assert dataset.shard_infos("s0") == [clip.info for clip in written]
    for group, rows in ((2, range(16, 19)), (0, range(8))):
        found = dataset.row_group("s0", group)
        assert len(found) == len(rows)
        for offset, row in reversed(list(enumerate(rows))):
            _same(found[offset], written[row])


def test_a_dataset_travels_to_other_processes(dataset: Dataset) -> None:
    before = len(dataset.sql("SELECT clip_id FROM clips").fetchall())  # leaves a connection behind
    copy = pickle.loads(pickle.dumps(dataset))
    assert (copy.root, copy.spec, copy.shards) == (dataset.root, dataset.spec, dataset.shards)
    assert len(copy.sql("SELECT clip_id FROM clips").fetchall()) == before == 22


def test_a_shard_of_failures_has_no_clips(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "d", {"s": []}, [FAILURE])
    assert dataset.shard_infos("s") == []
