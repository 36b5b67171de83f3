"""Training runs of a few steps: going on exactly, learning, and what they leave behind."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.training.animation.clips import Shape
from pipelines.training.animation.cluster import train_on_workers
from pipelines.training.animation.config import AugmentConfig, OptimConfig, RunConfig, WatchConfig
from pipelines.training.animation.data_config import DataConfig
from pipelines.training.animation.loader import batches, stack
from pipelines.training.animation.registry import KINDS, kind_of
from pipelines.training.animation.run import (
    MODEL,
    TrainingData,
    open_data,
    read_record,
    train,
    with_frames,
)
from pipelines.training.animation.trainer import Trainer
from pipelines.training.checkpoint import CHECKPOINT, TrainState, load_state
from pipelines.training.log import LOG
from pipelines.training.settings import settings_from
from tests.pipelines.training.animation.animation_makers import (
    FRAMES,
    GRID,
    MODELS,
    SIZE,
    fill_store,
    many_clips,
    write_clips,
)
from trajectories import DatasetError

STEPS = 4


def tiny(kind: str, **optim: Any) -> RunConfig:
    """Four steps of four clips."""
    values: dict[str, Any] = {
        "num_frames": FRAMES,
        "size": SIZE,
        "grid": GRID,
        "model": MODELS[kind],
        "data": DataConfig(where="true", validation_fraction=0.3),
        "optim": OptimConfig(
            **{"steps": STEPS, "batch_size": 4, "warmup_steps": 2, "bf16": False, **optim}
        ),
        "watch": WatchConfig(
            validate_every=STEPS,
            validation_clips=3,
            picture_every=100,
            picture_clips=2,
            sampling_steps=2,
            checkpoint_every=1,
        ),
    }
    return kind_of(kind).config(**values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset and its frames."""
    root = tmp_path_factory.mktemp("animation")
    clips = many_clips(sources=6, clips=5)
    write_clips(root / "tracks", clips)
    fill_store(root / "frames", clips)
    return root


def data_of(folder: Path, config: RunConfig) -> TrainingData:
    return with_frames(open_data(str(folder / "tracks"), config, folder / "frames"))


def run(kind: str, config: RunConfig, folder: Path, output: Path, **keywords: Any) -> Trainer:
    lines: list[str] = []
    return train(
        kind_of(kind), config, data_of(folder, config), output, notice=lines.append, **keywords
    )


def log_of(output: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (output / LOG).read_text().splitlines()]
    timing = ("seconds", "waited")
    return [{k: v for k, v in line.items() if k not in timing} for line in lines]


def stop_after(step: int) -> Callable[[dict[str, float]], None]:
    """A report that interrupts the run, as Ctrl-C would."""

    def report(figures: dict[str, float]) -> None:
        if figures["step"] == step:
            raise KeyboardInterrupt

    return report


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module", params=KINDS)
def whole(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, TrainState]:
    """All steps at once."""
    kind: str = request.param
    output = tmp_path_factory.mktemp(kind)
    return kind, output, run(kind, tiny(kind), folder, output).state()


# The checkpoint is as new as the stop, or older: then steps are done again.
@pytest.mark.parametrize("checkpoint_every", [1, 2])
def test_a_stopped_run_goes_on_exactly(
    whole: tuple[str, Path, TrainState], folder: Path, tmp_path: Path, checkpoint_every: int
) -> None:
    kind, output, expected = whole
    config = tiny(kind)
    watch = dataclasses.replace(config.watch, checkpoint_every=checkpoint_every)
    config = dataclasses.replace(config, watch=watch)
    with pytest.raises(KeyboardInterrupt):
        run(kind, config, folder, tmp_path, report=stop_after(3))
    resumed = run(kind, config, folder, tmp_path, resume=True, readers=1).state()
    assert resumed.step == expected.step == STEPS
    assert same_tensors(resumed.model, expected.model)
    assert same_tensors(resumed.ema, expected.ema)
    assert log_of(tmp_path) == log_of(output)
    assert [line["step"] for line in log_of(output)] == [1, 2, 3, 4]


def test_what_a_run_leaves(whole: tuple[str, Path, TrainState], folder: Path) -> None:
    kind, output, state = whole
    last = log_of(output)[-1]
    assert last["epoch"] > 0
    assert np.isfinite(last["val_loss"])
    for name in ("curves.png", "samples/step-0000004.jpg"):
        assert np.asarray(Image.open(output / name)).std() > 5
    # The averaged weights, as diffusers reads them, with the noise they were trained with.
    saved = kind_of(kind).model.from_pretrained(output / MODEL)
    assert same_tensors(saved.state_dict(), {k: state.ema[k] for k in saved.state_dict()})
    assert (output / MODEL / "scheduler_config.json").is_file()
    record = read_record(output / MODEL)
    assert (record["kind"], record["step"]) == (kind, STEPS)
    assert settings_from(kind_of(kind).config, record["config"]) == tiny(kind)


def test_a_run_in_the_way_is_not_overwritten(
    whole: tuple[str, Path, TrainState], folder: Path
) -> None:
    kind, output, _ = whole
    before = (output / CHECKPOINT).read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint.pt is in the way.*--resume"):
        run(kind, tiny(kind), folder, output)
    # A run that is done changes nothing.
    run(kind, tiny(kind), folder, output, resume=True)
    assert load_state(output / CHECKPOINT).step == STEPS
    assert (output / CHECKPOINT).read_bytes() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_another_model_is_refused(folder: Path, tmp_path: Path, kind: str) -> None:
    run(kind, tiny(kind, steps=1), folder, tmp_path)
    changed = {"trajectory": {"widths": [24]}, "pixel": {"block_out_channels": [8, 24]}}[kind]
    other = dataclasses.replace(tiny(kind), model={**MODELS[kind], **changed})
    with pytest.raises(ValueError, match=r"of another model.*another folder"):
        run(kind, other, folder, tmp_path, resume=True)


def test_stopping_leaves_a_checkpoint_and_weights(folder: Path, tmp_path: Path) -> None:
    config = tiny("trajectory")
    rare = dataclasses.replace(config.watch, checkpoint_every=100, picture_every=100)
    config = dataclasses.replace(config, watch=rare)
    trainer = run("trajectory", config, folder, tmp_path, stop=lambda: True)
    assert trainer.step == 1
    assert load_state(tmp_path / CHECKPOINT).step == 1
    assert read_record(tmp_path / MODEL)["step"] == 1


def test_time_alone_makes_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    config = tiny("trajectory")
    often = dataclasses.replace(config.watch, checkpoint_every=100, checkpoint_minutes=1e-9)
    with pytest.raises(KeyboardInterrupt):
        run(
            "trajectory",
            dataclasses.replace(config, watch=often),
            folder,
            tmp_path,
            report=stop_after(3),
        )
    assert load_state(tmp_path / CHECKPOINT).step == 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_one_batch_falls(folder: Path, kind: str) -> None:
    config = tiny(kind, steps=1000, learning_rate=3e-3, warmup_steps=1)
    data = data_of(folder, config)
    reader = data.reader(data.selection.train, config)
    (batch,) = batches(
        reader,
        kind_of(kind).pick,
        AugmentConfig(0, 0, 0, 0, 0),
        batch_size=4,
        first_step=0,
        steps=1,
        seed=0,
    )
    trainer = Trainer(kind_of(kind).objective(config), config.optim)
    before = trainer.validate([batch])["val_loss"]
    for _ in range(30):
        trainer.train_step(batch)
    assert trainer.validate([batch])["val_loss"] < 0.8 * before


def test_validation_leaves_the_run_as_it_was(folder: Path) -> None:
    config = tiny("trajectory")
    data = data_of(folder, config)
    reader = data.reader(data.selection.validation, config)
    batch = stack([reader.example(clip, (0,)) for clip in range(2)])
    trainer = Trainer(kind_of("trajectory").objective(config), config.optim)
    trainer.train_step(batch)
    weights = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    first, second = trainer.validate([batch]), trainer.validate([batch])
    assert first == second
    assert same_tensors(weights, trainer.model.state_dict())


def test_clips_without_frames_are_left_out(folder: Path, tmp_path: Path) -> None:
    config = tiny("pixel")
    opened = open_data(str(folder / "tracks"), config, tmp_path / "frames")
    with pytest.raises(DatasetError, match="the frames of no clip"):
        with_frames(opened)
    clips = many_clips(sources=6, clips=5)
    train_ids = set(opened.selection.train.ids.tolist())
    known = [clip for clip in clips if clip.info.clip_id.encode() in train_ids][:3]
    fill_store(tmp_path / "frames", known)
    left = with_frames(opened).selection
    assert len(left.train) == 3
    assert len(left.validation) == 0


def test_a_grid_that_the_dataset_does_not_have(folder: Path) -> None:
    config = dataclasses.replace(tiny("pixel"), grid=8)
    assert config.shape == Shape(FRAMES, SIZE, 8)
    with pytest.raises(DatasetError, match="set grid = 4"):
        open_data(str(folder / "tracks"), config, folder / "frames")


@pytest.mark.slow
def test_two_workers_share_every_batch(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="Ray Train is not installed")
    config = tiny("trajectory")
    reported: list[float] = []
    data = data_of(folder, config)
    train_on_workers(
        kind_of("trajectory"),
        config,
        data,
        tmp_path,
        workers=2,
        report=lambda figures: reported.append(figures["step"]),
    )
    assert reported == [1, 2, 3, 4]
    lines = log_of(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    clips = len(data.selection.train)
    assert [line["epoch"] for line in lines] == [4 * step / clips for step in (1, 2, 3, 4)]
    assert np.isfinite(lines[-1]["val_loss"])
    assert read_record(tmp_path / MODEL)["step"] == STEPS


def test_a_batch_that_does_not_divide_is_refused(folder: Path, tmp_path: Path) -> None:
    config = tiny("trajectory")
    with pytest.raises(ValueError, match="batch_size is 4: must be a multiple of the 3 workers"):
        train_on_workers(
            kind_of("trajectory"), config, data_of(folder, config), tmp_path, workers=3
        )


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"training\.json is missing or damaged"):
        read_record(tmp_path)


def test_figures_and_pictures_go_to_tensorboard(folder: Path, tmp_path: Path) -> None:
    run("trajectory", tiny("trajectory", steps=2), folder, tmp_path)
    (events,) = tmp_path.glob("events.out.tfevents.*")
    data = events.read_bytes()
    assert data.count(b"val_loss") == 1
    assert data.count(b"smoothness") == 3  # two steps, and held-out clips once
    assert data.count(b"samples") == 1
    assert b"\x89PNG" in data


def test_what_is_missing_is_said_in_a_line_each(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    lines: list[str] = []
    config = dataclasses.replace(
        tiny("trajectory", steps=1), data=DataConfig(where="true", validation_fraction=0.0)
    )
    data = data_of(folder, config)
    train(kind_of("trajectory"), config, data, tmp_path, notice=lines.append)
    assert len(lines) == 2
    assert lines[0].startswith("no clip is held out")
    assert lines[1].startswith("tensorboardX is not installed")
