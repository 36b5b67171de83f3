"""Folders that hold no such model: one line each, naming the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from animate import AnimationPipeline


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    shutil.copytree(model_folder, folder)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ValueError) as caught:
        AnimationPipeline.from_pretrained(folder)
    text = str(caught.value)
    assert str(folder) in text
    assert "\n" not in text
    return text


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "holds no animation model" in refusal(tmp_path / "nowhere")


def test_missing_weights(copied: Path) -> None:
    (copied / "pixel" / "diffusion_pytorch_model.safetensors").unlink()
    assert "no whole PixelModel" in refusal(copied)


def test_truncated_weights(copied: Path) -> None:
    weights = copied / "trajectory" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "no whole TrajectoryModel" in refusal(copied)


def test_the_other_model(copied: Path) -> None:
    shutil.rmtree(copied / "trajectory")
    shutil.copytree(copied / "pixel", copied / "trajectory")
    assert "PixelModel model, not a TrajectoryModel" in refusal(copied)


def test_weights_of_another_shape(copied: Path) -> None:
    path = copied / "trajectory" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "num_frames": config["num_frames"] + 1}))
    assert "no whole TrajectoryModel" in refusal(copied)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_configuration(copied: Path, text: str) -> None:
    (copied / "trajectory" / "config.json").write_text(text)
    refusal(copied)


def test_a_foreign_sampler(copied: Path) -> None:
    (copied / "pixel" / "scheduler_config.json").write_text('{"_class_name": "Magic"}')
    assert "no sampler of diffusers: 'Magic'" in refusal(copied)
