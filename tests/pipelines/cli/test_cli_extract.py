"""`tapirus extract` as its own process with the tracker of the package, and what follows it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipelines.render import demo_clip
from pipelines.video import read_video
from tests.pipelines.cli.cli_makers import FRAMES, HEIGHT, SIZE, WIDTH, BadFiles, Outcome
from trajectories import open_dataset

Run = Callable[..., Outcome]

_QUICK = ("--size", SIZE, "--num-frames", FRAMES, "--grid", 4)


def extract(*words: object) -> Outcome:
    """The command as a shell would start it."""
    code = "from pipelines.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "extract", *(str(word) for word in (*words, *_QUICK))],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[3],
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Extracted:
    """A dataset of one good video and several bad ones, and what the command said."""

    root: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def extracted(
    video: Path, bad_files: BadFiles, tmp_path_factory: pytest.TempPathFactory
) -> Extracted:
    root = tmp_path_factory.mktemp("extract") / "tracks"
    bad = [bad_files.folder / name for name in bad_files.names]
    return Extracted(root, extract(video, *bad, "-o", root))


def test_a_good_video_among_bad_ones_is_extracted(
    extracted: Extracted, video: Path, bad_files: BadFiles
) -> None:
    outcome = extracted.outcome
    assert outcome.code == 0, outcome.err
    assert "Traceback" not in outcome.err
    rows = dict(line.split(maxsplit=1) for line in outcome.out.splitlines()[:5])
    assert (rows["dataset"], rows["clips"], rows["tracks"]) == (str(extracted.root), "2", "32")
    assert rows["failures"].startswith(str(len(bad_files.names)))
    assert f"tapirus query {extracted.root} " in outcome.out.splitlines()[-1]
    dataset = open_dataset(extracted.root)
    assert dataset.clips(["source"])["source"].to_pylist() == [str(video)] * 2
    failures = dataset.failures().to_pylist()
    assert {Path(row["source"]).name for row in failures} == set(bad_files.names)
    assert all(row["message"] and row["stage"] == "open" for row in failures)


def test_tracks_follow_the_known_motion(extracted: Extracted) -> None:
    truth = demo_clip(2 * FRAMES, HEIGHT, WIDTH)
    for clip in open_dataset(extracted.root):
        info = clip.info
        corner = np.array([info.crop_x, info.crop_y])
        scale = np.array([info.crop_width / info.width, info.crop_height / info.height])
        starts = corner + clip.queries[:, [2, 1]] * scale
        begin = round(info.start_s * truth.fps)
        queries = np.concatenate([clip.queries[:, :1] + begin, starts[:, ::-1]], axis=1)
        tracks, visible = (values[:, begin : begin + FRAMES] for values in truth.truth(queries))
        seen = visible & clip.visible
        assert seen.sum() > 0.7 * visible.sum()
        error = np.linalg.norm(corner + clip.tracks * scale - tracks, axis=-1)[seen]
        standing = np.linalg.norm(starts[:, None] - tracks, axis=-1)[seen]
        assert np.median(error) < 0.5 * np.median(standing)


def test_what_was_extracted_can_be_looked_at(
    tapirus: Run, extracted: Extracted, tmp_path: Path
) -> None:
    stats = tapirus("stats", extracted.root, "--html", tmp_path / "stats.html")
    assert (stats.code, stats.err) == (0, "")
    ids = tapirus("query", extracted.root, "SELECT clip_id FROM clips ORDER BY start_s")
    first = ids.out.splitlines()[1]
    for name in ("o.mp4", "o.png"):
        shown = tapirus("show", extracted.root, first[:10], "-o", tmp_path / name)
        assert (shown.code, shown.err) == (0, "")
        assert "16 tracks of" in shown.out
    assert len(read_video(tmp_path / "o.mp4").frames) == FRAMES


def test_a_finished_dataset_is_left_alone(tapirus: Run, extracted: Extracted, video: Path) -> None:
    before = {path: path.read_bytes() for path in extracted.root.rglob("*") if path.is_file()}
    again = tapirus("extract", video, "-o", extracted.root, *_QUICK)
    assert (again.code, again.err) == (0, "")
    assert "clips     0   (2 were there already)" in again.out
    assert before == {p: p.read_bytes() for p in extracted.root.rglob("*") if p.is_file()}


def test_strict_fails_for_what_went_wrong_before(tapirus: Run, extracted: Extracted) -> None:
    assert tapirus("extract", "-o", extracted.root, "--strict", *_QUICK).code == 1
    assert tapirus("extract", "-o", extracted.root, *_QUICK).code == 0


def test_other_settings_are_refused(tapirus: Run, extracted: Extracted, video: Path) -> None:
    outcome = tapirus("extract", video, "-o", extracted.root, "--grid", 5)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"tapirus: {extracted.root} was made with other settings")
    assert len(outcome.err.splitlines()) == 1


def test_nothing_but_bad_files_fails(bad_files: BadFiles, tmp_path: Path) -> None:
    outcome = extract(bad_files.folder, "-o", tmp_path / "tracks")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert "clips     0\n" in outcome.out
    assert len(open_dataset(tmp_path / "tracks").failures()) == len(bad_files.names) - 1


@pytest.mark.parametrize(
    "words,text",
    [
        (("{tmp}/notes", "-o", "{tmp}/out"), "{tmp}/notes: the folder holds no video files"),
        (("{tmp}/none*.mp4", "-o", "{tmp}/out"), "none*.mp4: the pattern matches no file"),
        (("{tmp}/none.csv", "-o", "{tmp}/out"), "none.csv: no such manifest"),
        (("{tmp}/bad.csv", "-o", "{tmp}/out"), "bad.csv: has no column"),
        (("-o", "{tmp}/out"), "no videos given"),
        (("{video}", "-o", "{tmp}/out", "--grid", "0"), "grid is 0"),
        (("{video}", "-o", "{tmp}/out", "--size", "3"), "size is 3"),
        (("{video}", "-o", "{tmp}/out", "--ray-address", "here"), '"here" is no Ray address'),
        (("{video}", "-o", "{tmp}/out", "--ray-address", "localhost:1"), "no Ray cluster answers"),
    ],
)
def test_what_cannot_start_is_one_line(
    tapirus: Run,
    tmp_path: Path,
    video: Path,
    words: tuple[str, ...],
    text: str,
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("no video here")
    (tmp_path / "bad.csv").write_text("name,size\na.mp4,3\n")
    filled = [word.format(tmp=tmp_path, video=video) for word in words]
    outcome = tapirus("extract", *filled)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("tapirus: ")
    assert text.format(tmp=tmp_path) in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_output_below_a_file_is_refused(tmp_path: Path, video: Path) -> None:
    (tmp_path / "file").write_text("x")
    outcome = extract(video, "-o", tmp_path / "file" / "tracks")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"tapirus: cannot write {tmp_path / 'file' / 'tracks'}")
    assert len(outcome.err.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "x"
