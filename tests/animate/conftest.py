"""A small pipeline on disk, a photo, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from animate.cli import command
from animate.pipeline import AnimationPipeline
from models.animation import PixelModel, pixel_scheduler, trajectory_scheduler
from models.animation.solver import fast_solver
from pipelines.cli.exits import run_program
from tests.models.animation.small_animation import shake, small_model


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def small_pipeline() -> AnimationPipeline:
    """8 frames of 64 pixels, 16 x 16 points; its motion is random and smooth in nothing."""
    torch.manual_seed(0)
    pixel = PixelModel(feature_channels=8, block_out_channels=(16, 32), attention_head_dim=16)
    pipeline = AnimationPipeline(
        shake(small_model(), 0.01),
        fast_solver(trajectory_scheduler()),
        pixel.eval(),
        fast_solver(pixel_scheduler()),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="session")
def pipeline() -> AnimationPipeline:
    return small_pipeline()


@pytest.fixture(scope="session")
def model_folder(pipeline: AnimationPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    pipeline.save_pretrained(folder)
    return folder


def textured(width: int, height: int) -> np.ndarray:
    """A smooth picture in which every place looks different."""
    y, x = np.mgrid[:height, :width] + 0.5
    waves = [np.sin(x / width * 7 + k) * np.cos(y / height * (5 + k)) for k in range(3)]
    return np.stack([(wave * 100 + 127).astype(np.uint8) for wave in waves], axis=-1)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """120 x 80 pixels."""
    path = tmp_path / "photo.png"
    Image.fromarray(textured(120, 80)).save(path)
    return path


@pytest.fixture
def animate(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The command line, with the small models and few steps."""

    def run(*words: object) -> Outcome:
        few = ["--steps", "2", "--pixel-steps", "1", "--model", model_folder, "--device", "cpu"]
        code = run_program("animate", command, [str(word) for word in [*few, *words]])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
