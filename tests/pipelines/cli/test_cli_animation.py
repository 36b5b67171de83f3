"""`tapirus train` and `tapirus eval` of the animation models, from a dataset to figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.training.checkpoint import CHECKPOINT, load_state
from tests.pipelines.cli.cli_makers import Outcome
from tests.pipelines.training.animation.animation_makers import fill_store, many_clips, write_clips

Run = Callable[..., Outcome]

_COMMON = """
num_frames = 4
size = 32
grid = 4
[data]
where = "true"
validation_fraction = 0.3
[optim]
steps = 2
batch_size = 2
warmup_steps = 1
bf16 = false
[watch]
validate_every = 2
validation_clips = 2
picture_every = 2
picture_clips = 1
sampling_steps = 1
"""
_MODELS = {
    "trajectory": "[model]\npatch = 1\nwidths = [16]\nattention = [false]\nhead_width = 8\n"
    "feature_channels = 16\nfeature_blocks = 1\n",
    "pixel": "[model]\nfeature_channels = 8\nblock_out_channels = [8, 16]\n"
    "attention_head_dim = 8\nnorm_num_groups = 4\n",
}
_COLUMNS = {"trajectory": "minADE 5", "pixel": "PSNR dB"}
_METHODS = {
    "trajectory": ["model", "no motion", "mean motion", "nearest images", "truth"],
    "pixel": ["model", "bare warp", "filmed"],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A dataset with all its frames beside it; the videos never existed."""
    clips = many_clips(sources=6, clips=2)
    write_clips(tmp_path / "tracks", clips)
    fill_store(tmp_path / "tracks.frames", clips)
    for kind, model in _MODELS.items():
        (tmp_path / f"{kind}.toml").write_text(_COMMON + model)
    return tmp_path / "tracks"


@pytest.mark.parametrize("kind", ["trajectory", "pixel"])
def test_training_goes_on_and_its_model_is_measured(tapirus: Run, data: Path, kind: str) -> None:
    output, config = data.parent / "run", data.parent / f"{kind}.toml"
    words = ["train", kind, "--data", data, "--config", config, "-o", output, "--readers", 0]

    stopped = tapirus(*words, "--minutes", 0)
    assert stopped.code == 0, stopped.err
    assert "stopped at step 1 of 2: --resume goes on" in stopped.out
    again = tapirus(*words)
    assert again.code == 1
    assert again.err.startswith("tapirus: ")
    assert "--resume" in again.err
    assert again.err.count("\n") == 1
    done = tapirus(*words, "--resume")
    assert done.code == 0, done.err
    assert "10 clips to train on, 2 held out, 0 left out by the condition" in done.out
    assert "step 2  loss" in done.out
    assert load_state(output / CHECKPOINT).step == 2

    figures = data.parent / "figures.json"
    measured = tapirus(
        *("eval", kind, "--data", data, "--model", output / "model", "--clips", 2),
        *("--steps", 1, "--seed", 3, "--json", figures),
    )
    assert measured.code == 0, measured.err
    head, *lines = measured.out.splitlines()
    assert head.startswith("2 clips")
    assert _COLUMNS[kind] in head
    assert [line[:18].strip() for line in lines] == _METHODS[kind]
    values = json.loads(figures.read_text())
    assert (values["clips"], values["seed"], values["steps"], values["step"]) == (2, 3, 1, 2)
    assert set(values["methods"]) == set(_METHODS[kind]) - {"truth"}
    # The same seed gives the same figures.
    again = tapirus(
        *("eval", kind, "--data", data, "--model", output / "model", "--clips", 2),
        *("--steps", 1, "--seed", 3),
    )
    assert again.out == measured.out


def test_clips_whose_videos_have_gone_are_counted(tapirus: Run, data: Path) -> None:
    frames = sorted((data.parent / "tracks.frames").rglob("*.frames"))
    for path in frames[:3]:
        path.unlink()
    outcome = tapirus(
        *("train", "trajectory", "--data", data, "--config", data.parent / "trajectory.toml"),
        *("-o", data.parent / "run", "--readers", 0),
    )
    assert outcome.code == 0, outcome.err
    warnings = [line for line in outcome.err.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert "3 clips left out" in warnings[0]
    assert "/videos/v0" in warnings[0]


def test_frames_lie_where_the_user_says(tapirus: Run, data: Path) -> None:
    frames = data.parent / "elsewhere"
    shutil.move(data.parent / "tracks.frames", frames)
    words = ["train", "pixel", "--data", data, "--config", data.parent / "pixel.toml"]
    outcome = tapirus(*words, "-o", data.parent / "run", "--frames", frames, "--readers", 0)
    assert outcome.code == 0, outcome.err
    assert not (data.parent / "tracks.frames").exists()
    remote = tapirus("train", "pixel", "--data", "memory://tracks", "-o", data.parent / "run")
    assert remote.code in (1, 2)
    assert "--frames" in remote.err


@pytest.mark.parametrize(
    "words,message",
    [
        (["train", "trajectory", "--config", "huge"], "huge: no such file"),
        (["train", "trajectory"], "asks for 32 x 32: set grid = 4"),
        (["train", "pixel", "--device", "toaster"], "--device toaster cannot be used"),
    ],
)
def test_mistakes_are_one_line(tapirus: Run, data: Path, words: list[str], message: str) -> None:
    outcome = tapirus(*words, "--data", data, "-o", data.parent / "run")
    assert outcome.code == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (data.parent / "run").exists()


def test_a_folder_that_is_no_model(tapirus: Run, data: Path) -> None:
    outcome = tapirus("eval", "pixel", "--data", data, "--model", data)
    assert outcome.code == 1
    assert "training.json is missing or damaged" in outcome.err
    assert outcome.err.count("\n") == 1
