"""Expanding what a user names into a list of videos."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.video import SourceError, expand_sources


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.MKV", "notes.txt", "deep/er/c.webm", "deep/.hidden.mp4", ".git/d.mp4"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "tree"


def names(found: list[str], root: Path) -> list[str]:
    assert found == sorted(set(found))
    return [os.path.relpath(path, root) for path in found]


def test_a_folder_gives_its_videos_and_nothing_else(tree: Path) -> None:
    assert names(expand_sources([str(tree)]), tree) == ["a.MKV", "b.mp4", "deep/er/c.webm"]
    assert names(expand_sources([tree]), tree) == ["a.MKV", "b.mp4", "deep/er/c.webm"]


def test_named_files_are_kept_whatever_they_are(tree: Path) -> None:
    given = [tree / "b.mp4", tree / "missing.mp4", tree / "deep/.hidden.mp4", tree / "b.mp4"]
    found = expand_sources(given)
    assert names(found, tree) == ["b.mp4", "deep/.hidden.mp4", "missing.mp4"]


def test_paths_become_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert expand_sources(["b.mp4", "./deep/../b.mp4", f"file://{tree}/b.mp4"]) == [
        str(tree / "b.mp4")
    ]


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("*.mp4", ["b.mp4"]),
        ("?.*", ["a.MKV", "b.mp4"]),
        ("**/*.webm", ["deep/er/c.webm"]),
        ("[bx].mp4", ["b.mp4"]),
        ("*", ["a.MKV", "b.mp4", "notes.txt"]),
    ],
)
def test_patterns(tree: Path, pattern: str, found: list[str]) -> None:
    assert names(expand_sources([str(tree / pattern)]), tree) == found


def test_a_file_whose_name_looks_like_a_pattern(tree: Path) -> None:
    (tree / "clip[1].mp4").write_bytes(b"x")
    assert names(expand_sources([tree / "clip[1].mp4"]), tree) == ["clip[1].mp4"]


def test_text_manifest(tree: Path) -> None:
    manifest = tree / "list.txt"
    manifest.write_text(
        f"\ufeff# two videos\n\nb.mp4\n  deep/er/c.webm \n{tree}/a.MKV\nlost.mp4\nmemory://x/y.mp4\n",
        encoding="utf-8",
    )
    expected = [f"{tree}/{n}" for n in ("a.MKV", "b.mp4", "deep/er/c.webm", "lost.mp4")]
    assert expand_sources([manifest]) == sorted([*expected, "memory:///x/y.mp4"])


def test_a_manifest_may_name_folders_and_patterns(tree: Path) -> None:
    (tree / "list.txt").write_text("deep\n*.mp4\n")
    assert names(expand_sources([tree / "list.txt"]), tree) == ["b.mp4", "deep/er/c.webm"]


@pytest.mark.parametrize("column", ["source", "uri", "path", "video", "Video"])
def test_table_manifests(tree: Path, column: str) -> None:
    (tree / "list.csv").write_text(f'id,{column}\n1,b.mp4\n2,"deep/er/c.webm"\n3,\n')
    pq.write_table(pa.table({"id": [1, 2], column: ["a.MKV", None]}), tree / "list.parquet")
    assert names(expand_sources([tree / "list.csv"]), tree) == ["b.mp4", "deep/er/c.webm"]
    assert names(expand_sources([tree / "list.parquet"]), tree) == ["a.MKV"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.txt", b"# nothing\n\n", "names no videos"),
        ("a.txt", b"\xff\xfe\x00bad", "not UTF-8"),
        ("a.csv", b"id,name\n1,b.mp4\n", r"has no column source, uri, path or video .*id, name"),
        ("a.csv", b"", r"has no column .*it has: none"),
        ("a.parquet", b"PAR1 not really", "cannot be read"),
        ("a.txt", b"none-*.mp4\n", "a.txt: .*matches no file"),
    ],
)
def test_bad_manifests_are_one_clear_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        expand_sources([tmp_path / name])
    assert str(error.value).startswith(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_inputs_that_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("no video")
    for given, message in (
        ([tmp_path], "holds no video files"),
        ([tmp_path / "*.mp4"], "matches no file"),
        ([tmp_path / "gone.csv"], "no such manifest"),
        ([], "no videos"),
        ([" "], "an input is empty"),
        (["memory://nothing-here/*.mp4"], "no video is found"),
        (["nosuchstore://bucket/*.mp4"], "cannot be reached"),
    ):
        with pytest.raises(SourceError, match=message):
            expand_sources(given)


def test_a_folder_that_cannot_be_listed_stays_a_source(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(expand_sources([tree]), tree) == ["a.MKV", "b.mp4", "deep"]


def test_addresses(tree: Path) -> None:
    store = "memory://archive"
    for name in ("b.mp4", "sub/c.mp4", "sub/readme.txt"):
        with fsspec.open(f"{store}/{name}", "wb") as file:
            file.write(b"x")
    with fsspec.open(f"{store}/list.txt", "w") as file:
        file.write("b.mp4\nsub/*.mp4\n")
    both = ["memory:///archive/b.mp4", "memory:///archive/sub/c.mp4"]
    assert expand_sources([f"{store}/**/*.mp4"]) == both
    assert expand_sources([f"{store}/*.mp4"]) == both[:1]
    assert expand_sources([store]) == both
    assert expand_sources([f"{store}/list.txt"]) == both
    assert expand_sources([f"{store}/b.mp4", both[0]]) == both[:1]
    assert expand_sources([f"{store}/gone.mp4"]) == ["memory:///archive/gone.mp4"]
    (tree / "list.txt").write_text(f"{store}/sub\nb.mp4\n")
    assert expand_sources([tree / "list.txt"]) == [f"{tree}/b.mp4", both[1]]


def test_web_addresses_and_chains_are_kept(tree: Path) -> None:
    given = [
        "http://127.0.0.1:9/a.mp4?token=1",
        "nosuchstore://bucket/a.mp4",
        f"zip://clips/a.mp4::file://{tree}/all.zip",
    ]
    with zipfile.ZipFile(tree / "all.zip", "w") as archive:
        archive.writestr("clips/a.mp4", b"x")
        archive.writestr("clips/b.mp4", b"x")
    assert expand_sources(given) == sorted(given)
    both = [given[2], given[2].replace("a.mp4", "b.mp4")]
    assert expand_sources([f"zip://clips/*.mp4::file://{tree}/all.zip"]) == both
