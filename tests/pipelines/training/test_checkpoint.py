"""Checkpoints: whole, in parts, and in parts that do not belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.training.checkpoint import (
    CHECKPOINT,
    TrainState,
    checkpoint_exists,
    load_state,
    save_state,
)
from pipelines.training.trainer import Trainer
from tests.pipelines.training.training_makers import same_tensors, tiny_config


@pytest.fixture(scope="module")
def state() -> TrainState:
    generator = torch.Generator().manual_seed(0)
    tensors = {f"weight{i}": torch.randn(100, 30, generator=generator) for i in range(12)}
    return TrainState(7, tensors, dict(tensors), {"state": {}, "param_groups": []})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_parts_are_small_and_join_to_the_whole(tmp_path: Path, state: TrainState) -> None:
    path = tmp_path / CHECKPOINT
    assert not checkpoint_exists(path)
    save_state(path, state, part_bytes=12_000)
    parts = names(tmp_path)
    assert len(parts) > 10  # sorted by name, the tenth would come before the second
    assert all((tmp_path / part).stat().st_size <= 12_000 for part in parts)
    assert checkpoint_exists(path)
    loaded = load_state(path)
    assert loaded.step == 7
    assert same_tensors(loaded.model, state.model)


def test_there_is_one_checkpoint_whatever_was_there(tmp_path: Path, state: TrainState) -> None:
    path = tmp_path / CHECKPOINT
    for part_bytes in (100_000, 40_000, None, 80_000, 10_000_000):
        save_state(path, state, part_bytes)
        assert load_state(path).step == 7
        if part_bytes is None:
            assert names(tmp_path) == [CHECKPOINT]
        else:
            last = names(tmp_path)[0].rpartition("-")[2]
            assert len(names(tmp_path)) == int(last)


@pytest.mark.parametrize("damage", ["missing", "cut", "other", "changed"])
def test_parts_that_do_not_belong_together_are_refused(
    tmp_path: Path, state: TrainState, damage: str
) -> None:
    path = tmp_path / CHECKPOINT
    save_state(path, state, part_bytes=100_000)
    second = next(part for part in tmp_path.iterdir() if ".2-of-" in part.name)
    if damage == "missing":
        second.unlink()
    elif damage == "cut":
        second.write_bytes(second.read_bytes()[:-100])
    elif damage == "changed":
        data = bytearray(second.read_bytes())
        data[5000] ^= 1
        second.write_bytes(data)
    else:
        state_later = TrainState(8, state.model, state.ema, state.optimizer)
        save_state(tmp_path / "later" / CHECKPOINT, state_later, part_bytes=100_000)
        second.write_bytes((tmp_path / "later" / second.name).read_bytes())
    with pytest.raises(ValueError, match="not a training checkpoint, or damaged") as caught:
        load_state(path)
    assert str(path) in str(caught.value)


def test_a_part_that_cannot_be_written_leaves_the_old_ones(
    tmp_path: Path, state: TrainState, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / CHECKPOINT
    save_state(path, state, part_bytes=100_000)
    before = names(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.training.checkpoint.os.replace", _full_disk)
        with pytest.raises(OSError):
            save_state(path, TrainState(8, {}, {}, {}), part_bytes=100_000)
    assert names(tmp_path) == before
    assert load_state(path).step == 7


def test_a_real_state_survives_parts(tmp_path: Path) -> None:
    trainer = Trainer(tiny_config())
    save_state(tmp_path / CHECKPOINT, trainer.state(), part_bytes=60_000)
    other = Trainer(tiny_config(seed=1))
    other.restore(load_state(tmp_path / CHECKPOINT))
    assert same_tensors(other.network.state_dict(), trainer.network.state_dict())


def _full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")
