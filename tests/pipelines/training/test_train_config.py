"""Settings of a training run from a file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import pipelines.training
from models.tapir import CONFIGS
from models.tapir.losses import LossConfig
from pipelines.training.config import TrainConfig, load_config

_CONFIGS = Path(pipelines.training.__file__).parent / "configs"


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("")
    assert load_config(path) == TrainConfig()


def test_what_the_file_says_replaces_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        "size = 64\nlearning_rate = 1\nbetas = [0.8, 0.9]\nbf16 = false\n[loss]\nhuber_delta = 2\n"
    )
    expected = TrainConfig(
        size=64, learning_rate=1.0, betas=(0.8, 0.9), bf16=False, loss=LossConfig(huber_delta=2.0)
    )
    assert load_config(str(path)) == expected


@pytest.mark.parametrize("path", sorted(_CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_config_that_comes_along_is_sound(path: Path) -> None:
    config = load_config(path)
    assert config.warmup_steps < config.steps
    assert config.clips().num_frames == config.num_frames


def test_there_is_a_config_of_the_default_model() -> None:
    assert (_CONFIGS / "tapir-mini.toml").exists()


@pytest.mark.parametrize(
    "text,words",
    [
        ("stepz = 3", ["'stepz'", "steps"]),
        ("[loss]\nhuber = 3", ["'loss.huber'", "huber_delta"]),
        ('steps = "many"', ["steps", "'many'", "int"]),
        ("steps = 2.5", ["steps", "2.5"]),
        ("steps = true", ["steps", "True"]),
        ("bf16 = 1", ["bf16", "bool"]),
        ("betas = [0.9]", ["betas", "2 numbers"]),
        ("betas = [0.9, false]", ["betas"]),
        ("loss = 3", ["loss must be a table"]),
        ('model = "tapioca"', ["model", "'tapioca'", "tapir-mini"]),
        ("batch_size = 0", ["batch_size is 0", "at least 1"]),
        ("seed = -1", ["seed is -1"]),
        ("seed = 10", ["seed is 10", "0 to 9"]),
        ("steps = 60_000_000\nbatch_size = 2", ["100,000,000 clips"]),
        ("steps =\n", ["line 1"]),
        ("[network]\nmixer_chanels = 3", ["'network.mixer_chanels'", "mixer_channels"]),
        ("[network]\nmixer_channels = 0.5", ["network.mixer_channels", "0.5"]),
        ("[synthetic]\nmedian_speeed = 3", ["'synthetic.median_speeed'", "median_speed"]),
        ("[real]\nconfidence = 2", ["real.confidence", "0 to 1"]),
        ("[real]\nmin_zoom = 3", ["3", "ascending"]),
        ("real_share = 1.5", ["real_share is 1.5", "0 to 1"]),
        ("checkpoint_minutes = -1", ["checkpoint_minutes is -1"]),
    ],
)
def test_a_mistake_names_the_file_and_the_setting(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_clips_have_the_size_of_the_config() -> None:
    clips = TrainConfig(size=64, num_frames=5, num_queries=7).clips()
    assert (clips.height, clips.width, clips.num_frames, clips.num_queries) == (64, 64, 5, 7)


def test_parts_of_the_network_and_of_the_clips_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        "size = 64\nnum_iterations = 2\n"
        "[network]\ngroup_channels = [8, 8, 16, 16]\npyramid_level = 0\n"
        "[synthetic]\nmedian_speed = 9\n"
    )
    config = load_config(path)
    published, trained = config.architecture(), config.trained_architecture()
    assert published.group_channels == trained.group_channels == (8, 8, 16, 16)
    assert published.pyramid_level == 0
    assert published.mixer_blocks == CONFIGS["tapir-mini"].mixer_blocks
    assert (published.num_iterations, published.initial_resolution) == (4, (256, 256))
    assert (trained.num_iterations, trained.initial_resolution) == (2, (64, 64))
    assert config.clips().median_speed == 9.0
    assert config.clips().width == 64


def test_a_network_without_refinement_stays_without(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("[network]\nnum_iterations = 0\n")
    assert load_config(path).trained_architecture().num_iterations == 0


def test_a_config_cannot_change_under_a_run() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 3  # type: ignore[misc]
