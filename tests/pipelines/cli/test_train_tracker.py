"""`tapirus train`: help that teaches, and mistakes that are named before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.cli.cli_makers import Outcome

Cli = Callable[..., Outcome]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text("steps = 3\nwarmup_steps = 0\nbatch_size = 4\n")
    return path


def test_help_has_examples(tapirus: Cli) -> None:
    said = tapirus("train", "tracker", "--help")
    assert said.code == 0
    for words in ("--config run.toml", "--start", "--ranks 4", "--real", "train curves"):
        assert words in said.out
    assert "tapirus train curves runs/stage1" in tapirus("train", "curves", "--help").out
    assert "tapirus train weights" in tapirus("train", "weights", "--help").out


def test_textures_and_photos_exclude_each_other(tapirus: Cli, config: Path, tmp_path: Path) -> None:
    words = ["train", "tracker", "--config", config, "-o", tmp_path / "out"]
    both = tapirus(*words, "--photos", tmp_path, "--textures", config)
    assert both.code == 2
    assert "give one or the other" in both.err
    assert tapirus(*words, "--objects", tmp_path).code == 2
    assert not (tmp_path / "out").exists()


def test_a_cluster_is_for_several_ranks(tapirus: Cli, config: Path, tmp_path: Path) -> None:
    words = ["train", "tracker", "--config", config, "-o", tmp_path / "out"]
    said = tapirus(*words, "--ray-address", "localhost:1")
    assert said.code == 2
    assert "--ranks" in said.err
    said = tapirus(*words, "--ranks", 3)
    assert said.code == 1
    assert said.err.strip().endswith("batch_size is 4: must be a multiple of the 3 ranks")


@pytest.mark.parametrize(
    "name,code,words", [("curves.jpg", 2, ".png"), ("c.png", 1, "no such log")]
)
def test_curves_of_nothing(tapirus: Cli, tmp_path: Path, name: str, code: int, words: str) -> None:
    said = tapirus("train", "curves", tmp_path, "-o", tmp_path / name)
    assert said.code == code
    assert words in said.err
    assert not (tmp_path / name).exists()


def test_weights_of_nothing(tapirus: Cli, config: Path, tmp_path: Path) -> None:
    words = ["train", "weights", tmp_path, "--config", config, "-o"]
    said = tapirus(*words, tmp_path / "tracker.safetensors")
    assert said.code == 1
    assert str(tmp_path / "checkpoint.pt") in said.err
    assert tapirus(*words, tmp_path / "tracker.pt").code == 2
