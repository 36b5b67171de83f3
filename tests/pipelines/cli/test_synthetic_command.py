"""`tapirus synthetic`: sheets and clips with truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.evaluation.folders import read_truth, truth_files
from pipelines.synthetic import SyntheticConfig, TextureBank, make_clip
from pipelines.video import read_video
from tests.pipelines.cli.cli_makers import Outcome

Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index, photo in enumerate(TextureBank.procedural(0, count=3, size=96).photos):
        cv2.imwrite(str(folder / f"{index}.png"), photo)
    return folder


def test_help_shows_how_to_use_it(tapirus: Run) -> None:
    said = tapirus("synthetic", "--help")
    assert said.code == 0
    assert "tapirus synthetic -o sheet.png" in said.out
    assert "synthetic" in tapirus("--help").out


def test_a_sheet_has_a_row_for_each_seed(tapirus: Run, photos: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    words = ("--photos", photos, "--size", 48, "--camera", "panning", "--seed", 5)
    said = tapirus("synthetic", *words, "--count", 2, "-o", sheet)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{sheet}: 2 clips, seeds 5 to 6\n"
    image = cv2.imread(str(sheet))
    assert image is not None
    height, width = image.shape[:2]
    assert height > 2 * 48
    assert width > 6 * 48


def test_videos_can_be_evaluated_on(tapirus: Run, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    words = ("--photos", photos, "--size", 64, "--count", 2, "--videos", folder)
    said = tapirus("synthetic", *words)
    assert (said.code, said.err) == (0, "")
    files = truth_files(folder)
    assert [video.name for _, video in files] == ["seed_0.mp4", "seed_1.mp4"]
    truth = read_truth(*files[1], modes=["first"])["first"]
    config = SyntheticConfig(height=64, width=64)
    clip = make_clip(1, config, TextureBank.from_folder(photos))
    np.testing.assert_allclose(truth.tracks, 4 * clip.tracks, atol=1e-3)  # scored at 256 x 256
    np.testing.assert_array_equal(truth.queries[:, 0], clip.queries[:, 0])
    shown = read_video(folder / "seed_1.mp4").frames
    assert np.abs(shown.astype(int) - clip.video).mean() < 25  # the codec blurs noise away
    assert read_video(folder / "seed_1_tracks.mp4").frames.shape[1] > 64


@pytest.mark.parametrize(
    "words, remedy",
    [
        ([], "give -o for a sheet, or --videos"),
        (["--objects", ".", "-o", "sheet.png"], "give --photos as well"),
    ],
)
def test_wrong_usage_is_explained(
    words: list[str], remedy: str, tapirus: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    said = tapirus("synthetic", *words)
    assert said.code == 2
    assert remedy in said.err


def test_a_folder_without_photos_is_named(tapirus: Run, tmp_path: Path) -> None:
    said = tapirus("synthetic", "--photos", tmp_path, "-o", tmp_path / "sheet.png")
    assert said.code == 1
    assert said.err.startswith(f"tapirus: {tmp_path}: no images")
