"""`query`, `stats`, `show` and `schema` on a small dataset."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.video import read_video
from tests.pipelines.cli.cli_makers import FRAMES, LONG_MESSAGE, SIDE, Outcome, make_dataset
from trajectories import Dataset, describe

Run = Callable[..., Outcome]

_IDS = "SELECT clip_id, start_s FROM clips ORDER BY start_s"


def clip_ids(dataset: Dataset) -> list[str]:
    return dataset.clips(["clip_id"])["clip_id"].to_pylist()


def test_query_prints_a_table(tapirus: Run, dataset: Dataset) -> None:
    outcome = tapirus("query", dataset.root, "SELECT num_tracks, num_frames FROM clips")
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split() for line in outcome.out.splitlines()] == [
        ["num_tracks", "num_frames"],
        *[[str(SIDE**2), str(FRAMES)]] * 2,
    ]


def test_query_cuts_no_text(tapirus: Run, dataset: Dataset) -> None:
    outcome = tapirus("query", dataset.root, "SELECT message, * FROM failures")
    assert outcome.code == 0
    assert LONG_MESSAGE.strip() in outcome.out
    assert len(outcome.out.splitlines()) == 2


def test_query_says_where_it_stopped(tapirus: Run, dataset: Dataset) -> None:
    outcome = tapirus("query", dataset.root, "SELECT track FROM tracks", "--limit", 5)
    assert len(outcome.out.splitlines()) == 6
    assert outcome.err.startswith("… the first 5 rows; --limit shows more")
    all_of_it = tapirus("query", dataset.root, "SELECT track FROM tracks", "--limit", 18)
    assert (len(all_of_it.out.splitlines()), all_of_it.err) == (19, "")
    nothing = tapirus("query", dataset.root, "SELECT track FROM tracks WHERE false")
    assert (nothing.code, nothing.out, nothing.err) == (0, "track\n", "no rows\n")


def test_query_writes_files(tapirus: Run, dataset: Dataset, tmp_path: Path) -> None:
    ids = clip_ids(dataset)
    for suffix in (".csv", ".parquet", ".json", ".jsonl"):
        target = tmp_path / f"new{suffix}"
        outcome = tapirus("query", dataset.root, _IDS, "-o", target)
        assert (outcome.code, outcome.out, outcome.err) == (0, f"{target}: written\n", "")
    assert pq.read_table(tmp_path / "new.parquet")["clip_id"].to_pylist() == ids
    assert [row["clip_id"] for row in json.loads((tmp_path / "new.json").read_text())] == ids
    lines = (tmp_path / "new.jsonl").read_text().splitlines()
    assert [json.loads(line)["clip_id"] for line in lines] == ids
    rows = (tmp_path / "new.csv").read_text().splitlines()
    assert rows[0] == "clip_id,start_s"
    assert [row.split(",")[0] for row in rows[1:]] == ids


@pytest.mark.parametrize(
    "words,text",
    [
        (("SELEC 1",), "syntax error"),
        (("SELECT nope FROM clips",), "nope"),
        (("SELECT * FROM nope",), "the views are clips, tracks"),
        (("SELECT error('stop here')",), "stop here"),
        (("",), "give one SELECT"),
        (("SELECT 1", "-o", "{tmp}/q.xls"), "q.xls: give a name that ends in .csv"),
        (("SELECT 1", "-o", "{tmp}/file/q.csv"), "q.csv: a file stands where"),
        (("SELECT error('stop here')", "-o", "{tmp}/q.csv"), "stop here"),
    ],
)
def test_bad_queries_are_one_line(
    tapirus: Run, dataset: Dataset, tmp_path: Path, words: tuple[str, ...], text: str
) -> None:
    (tmp_path / "file").write_text("x")
    filled = [word.format(tmp=tmp_path) for word in words]
    outcome = tapirus("query", dataset.root, *filled)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("tapirus: ")
    assert text in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "tracks"]


@pytest.mark.parametrize("command", ["query", "stats", "show"])
@pytest.mark.parametrize("place", ["none", "file", "folder", "damaged"])
def test_what_is_no_dataset_is_one_line(
    tapirus: Run, tmp_path: Path, command: str, place: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "dataset.json").write_text("{")
    words = {"query": ("SELECT 1",), "stats": (), "show": ("ab", "-o", tmp_path / "o.mp4")}
    outcome = tapirus(command, tmp_path / place, *words[command])
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"tapirus: {tmp_path / place}")
    assert len(outcome.err.splitlines()) == 1


def test_stats_prints_and_writes_a_page(tapirus: Run, dataset: Dataset, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    outcome = tapirus("stats", dataset.root, "--html", page)
    assert (outcome.code, outcome.err) == (0, "")
    rows = {line.split()[0]: line.split()[1] for line in outcome.out.splitlines()[1:6]}
    assert rows["clips"] == "2"
    assert rows["tracks"] == str(2 * SIDE**2)
    assert outcome.out.endswith(f"{page}: written\n")
    assert "<svg" in page.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "tracks"]


def test_a_page_that_cannot_be_written_is_one_line(
    tapirus: Run, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    outcome = tapirus("stats", dataset.root, "--html", tmp_path / "file" / "page.html")
    assert outcome.code == 1
    assert outcome.err.startswith(f"tapirus: cannot write {tmp_path / 'file' / 'page.html'}: ")
    assert len(outcome.err.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "x"


def test_show_draws_a_clip_by_the_start_of_its_id(
    tapirus: Run, dataset: Dataset, tmp_path: Path, video: Path
) -> None:
    identity = clip_ids(dataset)[1]
    for suffix in (".mp4", ".gif"):
        target = tmp_path / f"o{suffix}"
        outcome = tapirus("show", dataset.root, identity[:12], "-o", target)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == f"{target}: {SIDE**2} tracks of {video}\n"
        assert len(read_video(target).frames) == FRAMES
    sheet = tmp_path / "o.png"
    few = tapirus("show", dataset.root, identity, "-o", sheet, "--max-tracks", 2)
    assert few.out == f"{sheet}: 2 of {SIDE**2} tracks of {video}\n"
    assert Image.open(sheet).size[0] > 4 * 200


@pytest.mark.parametrize(
    "words,code,text",
    [
        (("zz", "-o", "{tmp}/o.mp4"), 1, "no clip 'zz' among the 2"),
        (("", "-o", "{tmp}/o.mp4"), 1, "give more digits"),
        (("{id}", "-o", "{tmp}/o.tiff"), 2, "ends in .mp4, .gif, .png"),
        (("{id}", "-o", "{tmp}/none/o.png"), 1, "there is no folder"),
        (("{id}", "-o", "{video}"), 2, "give -o another name"),
        (("{id}", "-o", "{tmp}/o.mp4", "--max-tracks", "0"), 2, "--max-tracks"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    tapirus: Run,
    dataset: Dataset,
    tmp_path: Path,
    video: Path,
    words: tuple[str, ...],
    code: int,
    text: str,
) -> None:
    values = {"tmp": tmp_path, "video": video, "id": clip_ids(dataset)[0]}
    outcome = tapirus("show", dataset.root, *(word.format(**values) for word in words))
    assert (outcome.code, outcome.out) == (code, "")
    assert text in outcome.err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["tracks"]


def test_show_without_the_source_says_what_is_missing(
    tapirus: Run, video: Path, tmp_path: Path
) -> None:
    source = tmp_path / "copy.mp4"
    shutil.copy(video, source)
    dataset = make_dataset(tmp_path / "tracks", source)
    source.unlink()
    outcome = tapirus("show", dataset.root, clip_ids(dataset)[0], "-o", tmp_path / "o.mp4")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"tapirus: {source}: no such file; pictures need the video")
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "o.mp4").exists()


def test_schema_lists_the_columns(tapirus: Run) -> None:
    outcome = tapirus("schema")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == describe() + "\n"


def test_positions_are_those_that_were_tracked(tapirus: Run, dataset: Dataset) -> None:
    sql = f"SELECT x FROM track_points('{clip_ids(dataset)[0]}', 0) ORDER BY t"
    values = [float(line) for line in tapirus("query", dataset.root, sql).out.splitlines()[1:]]
    np.testing.assert_allclose(values, 64 / 6 + np.arange(FRAMES), atol=1 / 64)
