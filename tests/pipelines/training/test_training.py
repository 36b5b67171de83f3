"""Training runs of a few steps: going on exactly, learning, and files that are damaged."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoints import load_network
from pipelines.cli import main
from pipelines.training.checkpoint import CHECKPOINT, TrainState, load_state, save_state
from pipelines.training.config import TrainConfig
from pipelines.training.data import Batch, batches
from pipelines.training.log import LOG
from pipelines.training.tracker import train
from pipelines.training.trainer import Trainer
from tests.pipelines.training.training_makers import same_tensors, textures, tiny_config


def run(config: TrainConfig, folder: Path, **keywords: Any) -> Trainer:
    bank = textures()
    return train(config, bank, bank, folder, workers=0, **keywords)


def losses(folder: Path) -> list[dict[str, float]]:
    lines = (folder / LOG).read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key not in ("seconds", "waited")}
        for line in lines
    ]


def stop_after(step: int) -> Callable[[dict[str, float]], None]:
    """A report that interrupts the run, as Ctrl-C would."""

    def report(figures: dict[str, float]) -> None:
        if figures["step"] == step:
            raise KeyboardInterrupt

    return report


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainState]:
    """Four steps at once."""
    from models.tapir import CONFIGS
    from tests.pipelines.training.training_makers import TINY

    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CONFIGS, TINY.name, TINY)
        return folder, run(tiny_config(), folder).state()


# The checkpoint is as new as the stop, or older: then steps are done again.
@pytest.mark.parametrize("checkpoint_every", [1, 2, 3])
def test_a_stopped_run_goes_on_exactly(
    whole: tuple[Path, TrainState], tmp_path: Path, checkpoint_every: int
) -> None:
    config = tiny_config(checkpoint_every=checkpoint_every)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path, report=stop_after(3))
    resumed = run(config, tmp_path).state()
    folder, expected = whole
    assert resumed.step == expected.step == 4
    assert same_tensors(resumed.model, expected.model)
    assert same_tensors(resumed.ema, expected.ema)
    assert losses(tmp_path) == losses(folder)
    assert [figures["step"] for figures in losses(tmp_path)] == [1, 2, 3, 4]


def test_a_run_can_start_from_another_s_checkpoint(
    whole: tuple[Path, TrainState], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny_config(), tmp_path / "first", report=stop_after(2))
    first = tmp_path / "first" / CHECKPOINT
    before = first.read_bytes()
    second = run(tiny_config(), tmp_path / "second", resume=first).state()
    assert same_tensors(second.model, whole[1].model)
    assert first.read_bytes() == before
    assert [figures["step"] for figures in losses(tmp_path / "second")] == [3, 4]


def test_a_run_can_be_told_to_stop(whole: tuple[Path, TrainState], tmp_path: Path) -> None:
    config = tiny_config(checkpoint_every=100)
    steps: list[float] = []
    stopped = run(
        config, tmp_path, report=lambda f: steps.append(f["step"]), stop=lambda: len(steps) == 2
    )
    assert stopped.step == load_state(tmp_path / CHECKPOINT).step == 3
    assert same_tensors(run(config, tmp_path).state().model, whole[1].model)
    assert losses(tmp_path) == losses(whole[0])


def test_checkpoints_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("pipelines.training.recorder.time.monotonic", lambda: now[0])
    config = tiny_config(checkpoint_every=100, checkpoint_minutes=1.0, steps=6)
    saved: dict[int, int] = {}

    def report(figures: dict[str, float]) -> None:
        now[0] += 25.0
        path = tmp_path / CHECKPOINT
        saved[int(figures["step"])] = load_state(path).step if path.exists() else 0

    run(config, tmp_path, report=report)
    # Three steps take 75 s: the fourth finds a minute gone, and the last step is always kept.
    assert saved == {1: 0, 2: 0, 3: 0, 4: 4, 5: 4, 6: 6}


def test_a_checkpoint_in_parts_is_gone_on_from(
    whole: tuple[Path, TrainState], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny_config(), tmp_path, report=stop_after(2), part_bytes=50_000)
    assert not (tmp_path / CHECKPOINT).exists()
    resumed = run(tiny_config(), tmp_path, part_bytes=50_000).state()
    assert same_tensors(resumed.model, whole[1].model)
    assert losses(tmp_path) == losses(whole[0])


def test_the_curves_are_drawn_at_each_validation(tmp_path: Path) -> None:
    drawn: list[bool] = []
    config = tiny_config(validate_every=2)
    run(config, tmp_path, report=lambda _: drawn.append((tmp_path / "curves.png").exists()))
    assert drawn == [False, True, True, True]


def test_compiling_is_asked_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Callable[..., object]] = []

    def compile_(forward: Callable[..., object]) -> Callable[..., object]:
        compiled.append(forward)
        return forward

    monkeypatch.setattr(torch, "compile", compile_)
    assert not compiled
    Trainer(tiny_config())
    assert not compiled
    trainer = Trainer(tiny_config(compile=True))
    assert compiled == [trainer._estimate]
    assert not any("_orig_mod" in name for name in trainer.state().model)


def test_the_matching_loss_is_logged_and_reaches_the_features(tiny_model: None) -> None:
    config = tiny_config(matching_points=8)
    batch = next(iter(batches(config, textures(), first_step=0, workers=0)))
    assert isinstance(batch, Batch)
    assert batch.queries.shape[1] == 12
    trainer = Trainer(config)
    trainer.optimizer.step = lambda: None  # type: ignore[method-assign,assignment]
    figures = trainer.train_step(batch)
    with_it = trainer.network.resnet_torch.initial_conv.weight.grad
    assert figures["loss_matching"] > 0
    plain = Trainer(dataclasses.replace(config, matching_points=0))
    plain.optimizer.step = lambda: None  # type: ignore[method-assign,assignment]
    same = plain.train_step(batch.first(4))
    without = plain.network.resnet_torch.initial_conv.weight.grad
    assert "loss_matching" not in same
    # The extra points say nothing to the tracking loss.
    assert figures["loss"] == pytest.approx(same["loss"], rel=1e-5)
    assert with_it is not None
    assert without is not None
    assert not torch.allclose(with_it, without, rtol=1e-3)


def test_a_run_that_is_done_changes_nothing(whole: tuple[Path, TrainState], tmp_path: Path) -> None:
    folder, expected = whole
    log = (folder / LOG).read_text()
    assert same_tensors(run(tiny_config(), folder).state().model, expected.model)
    assert (folder / LOG).read_text() == log


def test_the_last_step_is_validated(whole: tuple[Path, TrainState]) -> None:
    figures = losses(whole[0])
    assert ["val_aj" in line for line in figures] == [False, False, False, True]
    assert all(0 <= figures[-1][name] <= 1 for name in ("val_aj", "val_delta", "val_oa"))
    assert [line["lr"] for line in figures] == pytest.approx([5e-4, 1e-3, 1e-3, 5e-4])


def test_the_loss_of_one_batch_falls() -> None:
    config = tiny_config(learning_rate=3e-3, warmup_steps=1, steps=1000, batch_size=2)
    trainer = Trainer(config)
    batch = next(batches(config, textures(), first_step=0, workers=0))
    figures = [trainer.train_step(batch)["loss"] for _ in range(30)]
    assert min(figures[-5:]) < 0.4 * figures[0]


def test_the_average_follows_the_weights() -> None:
    trainer = Trainer(tiny_config())
    name = next(iter(trainer.ema))
    start, moved = trainer.ema[name].clone(), trainer.network.state_dict()[name]
    moved += 1.0
    trainer.step = 1
    trainer._update_ema()
    # Decay after one step: (1 + 1) / (10 + 1).
    torch.testing.assert_close(trainer.ema[name], start + (1 - 2 / 11))


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "other"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / CHECKPOINT
    trainer = Trainer(tiny_config())
    save_state(path, trainer.state())
    assert load_state(path).step == 0
    data = path.read_bytes()
    if damage == "other":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        path.write_bytes(
            {"empty": b"", "text": b"no checkpoint", "cut": data[: len(data) // 2]}[damage]
        )
    with pytest.raises(ValueError, match="is not a training checkpoint, or damaged") as caught:
        run(tiny_config(), tmp_path)
    assert str(path) in str(caught.value)


def test_a_checkpoint_of_another_network_is_named(tmp_path: Path) -> None:
    state = Trainer(tiny_config()).state()
    state.model.popitem()
    save_state(tmp_path / CHECKPOINT, state)
    with pytest.raises(ValueError, match="of another network than tiny") as caught:
        run(tiny_config(), tmp_path)
    assert str(tmp_path / CHECKPOINT) in str(caught.value)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    state = Trainer(tiny_config()).state()
    save_state(path, state)
    (tmp_path / "checkpoint.tmp").mkdir()
    with pytest.raises(OSError):
        save_state(path, state)
    assert load_state(path).step == 0


def test_the_command_trains_and_its_weights_are_a_tracker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.toml").write_text(
        'model = "tiny"\nsize = 32\nnum_frames = 4\nnum_queries = 4\nbatch_size = 1\nsteps = 1\n'
        "bf16 = false\nvalidation_clips = 1\nwarmup_steps = 1\n"
    )
    words = ["train", "tracker", "--config", str(tmp_path / "run.toml"), "--workers", "0"]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "-o", str(tmp_path / "out")])
    captured = capsys.readouterr()
    assert stopped.value.code == 0, captured.err
    assert "held-out AJ" in captured.out
    network, _ = load_network(checkpoint=tmp_path / "out" / "tracker.safetensors")
    assert same_tensors(network.state_dict(), load_state(tmp_path / "out" / CHECKPOINT).ema)
    with pytest.raises(SystemExit) as stopped:
        main([*words, "-o", str(tmp_path / "out"), "--objects", str(tmp_path)])
    assert stopped.value.code == 2
