"""`tapirus eval` on files made here, with a small network of random weights."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.checkpoints import save_checkpoint
from models.tracker import Tracker
from pipelines.cli.evaluate import _label, _spread
from pipelines.synthetic import SyntheticClip, TextureBank
from tests.models.small import SMALL, small_network
from tests.pipelines.cli.cli_makers import BadFiles, Outcome
from tests.pipelines.evaluation.eval_makers import write_clip

Run = Callable[..., Outcome]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What load_tracker was called with; it gives a small network."""
    calls: list[tuple[object, ...]] = []

    def load(*words: object) -> Tracker:
        calls.append(words)
        return Tracker(small_network(initial_resolution=(256, 256)), device="cpu", dtype="float32")

    monkeypatch.setattr("models.load_tracker", load)
    return calls


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of two still points."""
    folder = tmp_path_factory.mktemp("truth") / "still"
    for name in ("a", "b"):
        write_clip(folder, name)
    return folder


def cells(outcome: Outcome, start: str, method: str) -> list[str]:
    """The figures of one line."""
    (line,) = [
        line
        for line in outcome.out.splitlines()
        if line.startswith(start) and f" {method} " in line
    ]
    return line.split(f" {method} ")[1].split()


def test_scores_by_clip_and_their_means(
    tapirus: Run, asked: list[tuple[object, ...]], truth: Path
) -> None:
    outcome = tapirus("eval", "tracker", "--data", truth)
    assert (outcome.code, outcome.err) == (0, "")
    assert asked == [("tapir-mini", None, None, "auto")]
    title, *_ = outcome.out.splitlines()
    assert " ".join(title.split()) == "clip method AJ δ avg OA δ 1px δ 2px δ 4px δ 8px δ 16px"
    for start in ("still a first", "still b first", "still, mean first (2 clips)"):
        # Nothing moves: standing still is right, and flow finds no motion.
        assert cells(outcome, start, "stand-still") == ["100.0"] * 8
        assert len(cells(outcome, start, "lucas-kanade")) == 8
        assert len(cells(outcome, start, "tapir-mini")) == 8


def test_options_reach_the_tracker(
    tapirus: Run, asked: list[tuple[object, ...]], truth: Path, tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    words = ("--model", "tapir-mini, tapir", "--dtype", "float32", "--mode", "both")
    more = ("--no-baselines", "--clips", 1, "--iterations", 1, "--breakdown", "--json", file)
    outcome = tapirus("eval", "tracker", "--data", truth, *words, *more)
    assert outcome.code == 0
    assert asked == [("tapir-mini", None, None, "float32"), ("tapir", None, None, "float32")]
    assert "lucas-kanade" not in outcome.out
    figures = json.loads(file.read_text())
    assert [(c["clip"], c["mode"], c["method"]) for c in figures["clips"]] == [
        ("a", "first", "tapir-mini"),
        ("a", "first", "tapir"),
        ("a", "strided", "tapir-mini"),
        ("a", "strided", "tapir"),
    ]
    assert figures["iterations"] == 1
    for part in figures["breakdown"]:
        assert len(part["iterations"]) == 2
    assert "first: refinement" in outcome.out
    assert "strided: texture at the query" in outcome.out


def test_checkpoints_are_told_apart(
    tapirus: Run, asked: list[tuple[object, ...]], truth: Path
) -> None:
    files = ("runs/one/tracker.safetensors", "runs/two/tracker.safetensors")
    words = [word for file in files for word in ("--checkpoint", file)]
    outcome = tapirus("eval", "tracker", "--data", truth, "--clips", 1, "--no-baselines", *words)
    assert outcome.code == 0
    assert [call[1] for call in asked] == list(files)
    for name in ("one/tracker", "two/tracker"):
        assert len(cells(outcome, "still a first", name)) == 8


def test_labels_are_as_short_as_they_stay_unique() -> None:
    files = ("x/a/t.pt", "y/a/t.pt", "y/b/u.pt")
    assert [_label(file, files) for file in files] == ["x/a/t", "y/a/t", "u"]
    assert _label("x/a/t.pt", ("x/a/t.pt",)) == "t"


def test_a_weights_file_is_read(tapirus: Run, truth: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_checkpoint(file, small_network().state_dict(), SMALL)
    outcome = tapirus("eval", "tracker", "--data", truth, "--clips", 1, "--checkpoint", file)
    assert (outcome.code, outcome.err) == (0, "")
    assert len(cells(outcome, "still a first", "weights")) == 8


def test_pickles_and_several_sets(
    tapirus: Run, asked: list[tuple[object, ...]], truth: Path, tmp_path: Path
) -> None:
    example = {
        "points": np.full((2, 4, 2), 0.5),
        "occluded": np.zeros((2, 4), bool),
        "video": np.full((4, 16, 16, 3), 90, np.uint8),
    }
    file = tmp_path / "davis.pkl"
    file.write_bytes(pickle.dumps({"bear": example}))
    outcome = tapirus("eval", "tracker", "--data", file, "--data", truth)
    assert (outcome.code, outcome.err) == (0, "")
    assert cells(outcome, "davis bear first", "stand-still") == ["100.0"] * 8
    assert cells(outcome, "mean over sets first (3 clips)", "stand-still") == ["100.0"] * 8


def test_synthetic_clips_are_made_of_held_out_textures(
    tapirus: Run, asked: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def make(seed: int, config: object, textures: object) -> SyntheticClip:
        seen.append((seed, textures))
        shape = (2, 3)
        return SyntheticClip(
            np.zeros((3, 64, 64, 3), np.uint8),
            np.zeros((2, 3), np.float32),
            np.zeros((*shape, 2), np.float32),
            np.zeros(shape, bool),
        )

    monkeypatch.setattr("pipelines.evaluation.sources.make_clip", make)
    outcome = tapirus("eval", "tracker", "--data", "synthetic", "--clips", 2)
    assert (outcome.code, outcome.err) == (0, "")
    assert [seed for seed, _ in seen] == [2_000_000_000, 2_000_000_001]
    bank = seen[0][1]
    _, held_out = TextureBank.procedural(1).split(0.1)
    assert bank.photo_names == held_out.photo_names


def test_too_few_photos_to_hold_one_out(tapirus: Run, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "trained_on.png")
    line = failure(tapirus("eval", "tracker", "--data", "synthetic", "--photos", tmp_path))
    assert "at least one photo; a tenth of the photos is held out" in line


def test_consistency_of_videos(
    tapirus: Run, asked: list[tuple[object, ...]], video: Path, tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    words = ("--grid", 3, "--max-frames", 6, "--json", file)
    outcome = tapirus("eval", "consistency", "--data", video.parent, *words)
    assert (outcome.code, outcome.err) == (0, "")
    title, *_ = outcome.out.splitlines()
    assert " ".join(title.split()) == "clip method back <4px % jitter seen %"
    assert len(cells(outcome, "good", "tapir-mini")) == 4
    assert cells(outcome, "good", "lucas-kanade") == cells(outcome, "mean (1 c", "lucas-kanade")
    figures = json.loads(file.read_text())
    assert (figures["grid"], figures["max_frames"]) == (3, 6)
    (found,) = figures["clips"]["lucas-kanade"].values()
    assert found == figures["means"]["lucas-kanade"]
    assert 0 < found["visible"] <= 1


def test_clips_are_taken_evenly() -> None:
    files = list("abcdefg")
    assert _spread(files, 3) == ["a", "c", "e"]
    assert _spread(files, 9) == _spread(files, None) == files


@pytest.mark.parametrize(
    "words",
    [
        ("--data", "synthetic", "--objects", "."),
        ("--data", "synthetic", "--model", "tapir,tapir-mini", "--checkpoint", "a.pt"),
        ("--data", "synthetic", "--mode", "last"),
        ("--data", "synthetic", "--iterations", "-1"),
        ("--data", "synthetic", "--json", "figures.txt"),
        (),
    ],
)
def test_wrong_usage(tapirus: Run, words: tuple[str, ...]) -> None:
    outcome = tapirus("eval", "tracker", *words)
    assert outcome.code == 2
    assert "Usage: tapirus eval tracker" in outcome.err


def failure(outcome: Outcome) -> str:
    """The one line that says why."""
    assert outcome.code == 1
    (line,) = outcome.err.splitlines()
    assert line.startswith("tapirus: ")
    return line


def test_data_that_is_not_there_or_empty(tapirus: Run, tmp_path: Path, truth: Path) -> None:
    missing = failure(tapirus("eval", "tracker", "--data", tmp_path / "missing"))
    assert missing.endswith("missing: no such file or folder")
    assert "holds no .npz files" in failure(tapirus("eval", "tracker", "--data", tmp_path))
    assert "no video a.mp4" in failure(
        tapirus("eval", "tracker", "--data", truth, "--videos", tmp_path)
    )
    np.savez(truth.parent / "bare.npz", points_xy=np.zeros((1, 2, 2)))
    (truth.parent / "bare.mp4").write_bytes((truth / "a.mp4").read_bytes())
    words = ("eval", "tracker", "--no-baselines", "--data")
    assert "lacks the array visible" in failure(tapirus(*words, truth.parent))
    empty = tmp_path / "empty.pkl"
    empty.write_bytes(pickle.dumps({}))
    assert "empty: holds no clips" in failure(tapirus(*words, empty))


def test_videos_that_are_not_there_or_broken(tapirus: Run, bad_files: BadFiles) -> None:
    words = ("eval", "consistency", "--no-baselines", "--data")
    for name in ("missing.mp4", "text.mp4"):
        assert name in failure(tapirus(*words, bad_files.folder / name))


def test_an_unknown_model(tapirus: Run, truth: Path) -> None:
    line = failure(tapirus("eval", "tracker", "--data", truth, "--model", "raft"))
    assert "unknown tracker 'raft'" in line


def test_a_hostile_pickle(tapirus: Run, asked: list[tuple[object, ...]], tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    file = tmp_path / "davis.pkl"
    file.write_bytes(pickle.dumps({"bear": Payload()}))
    assert "davis.pkl: refused" in failure(tapirus("eval", "tracker", "--data", file))
    assert not marker.exists()
