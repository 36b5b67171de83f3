"""Settings of the runs, those that come along and those with mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.training.animation.config import OptimConfig, PixelRun, RunConfig, WatchConfig
from pipelines.training.animation.kinds import make_model
from pipelines.training.animation.registry import CONFIGS, KINDS, kind_of, read_config
from pipelines.training.animation.trainer import parameter_count
from pipelines.training.settings import read_settings

_FILES = sorted(CONFIGS.glob("*.toml"))


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_every_config_that_comes_along_makes_a_model(path: Path) -> None:
    name, _, size = path.stem.partition("-")
    kind = kind_of(name)
    config = read_config(kind, path.stem)
    assert config == read_config(kind, path)
    assert config.optim.warmup_steps < config.optim.steps
    with torch.device("meta"):
        model = kind.objective(config).model
    count = parameter_count(model)
    most = {"small": 20e6, "paper": 1e9}[size]
    assert 1e5 < count < most
    assert config.shape.size == 256
    assert config.num_frames == 24
    assert config.grid == {"small": 32, "paper": 64}[size]


def test_there_is_a_small_and_a_large_one_of_each() -> None:
    assert {path.stem for path in _FILES} == {f"{k}-{s}" for k in KINDS for s in ("small", "paper")}


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"huge: no such file.*pixel-paper, pixel-small"):
        read_config(kind_of("pixel"), "huge")
    with pytest.raises(ValueError, match="trajectory, pixel"):
        kind_of("tracker")


@pytest.mark.parametrize(
    "text,words",
    [
        ("gird = 3", ["'gird'", "grid"]),
        ("size = 100\ngrid = 64", ["size is 100", "multiple of grid"]),
        ("num_frames = 1", ["num_frames is 1"]),
        ("[data]\nwhere = ''", ["data.where is empty"]),
        ("[optim]\nlearning_rate = 0", ["optim.learning_rate is 0"]),
        ("[optim]\nbatch = 3", ["'optim.batch'", "batch_size"]),
        ("[watch]\nvalidate_every = 0", ["watch.validate_every is 0"]),
        ("[augment]\nflip = 3", ["augment.flip is 3"]),
        ("crop = 300", ["crop is 300", "256"]),
        ("model = 3", ["model must be a table"]),
        ("[data]\nwhere = 3", ["data.where is 3"]),
        ("[optim]\nbetas = [1]", ["optim.betas", "2 numbers"]),
    ],
)
def test_a_mistake_names_the_file_and_the_setting(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        read_settings(path, PixelRun)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


class _Model:
    def __init__(self, size: int = 3, depth: int = 2) -> None:
        if depth < 1:
            raise ValueError("depth must be positive")
        self.size, self.depth = size, depth


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"deep": 3}, r"unknown setting 'model.deep' of _Model \(known: depth\)"),
        ({"size": 4}, "model.size follows from the other settings"),
        ({"depth": 0}, "model: depth must be positive"),
        ({"depth": "x"}, "model: "),
    ],
)
def test_arguments_of_a_model(settings: dict[str, Any], message: str) -> None:
    assert make_model(_Model, {"depth": 5}, size=7).depth == 5
    with pytest.raises(ValueError, match=message):
        make_model(_Model, settings, size=7)


def test_settings_that_follow_from_others() -> None:
    assert RunConfig(size=128, grid=32).stride == 4
    with pytest.raises(ValueError, match=r"optim.ema_decay"):
        OptimConfig(ema_decay=1.0)
    with pytest.raises(ValueError, match=r"watch.checkpoint_minutes"):
        WatchConfig(checkpoint_minutes=0.0)
