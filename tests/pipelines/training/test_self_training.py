"""Runs with steps on real clips: the teacher, what is logged, going on exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.checkpoints import save_checkpoint
from pipelines.training.checkpoint import save_state
from pipelines.training.config import SelfTraining, TrainConfig
from pipelines.training.data import ViewBatch, batches
from pipelines.training.log import read_log
from pipelines.training.ranks import Ranks
from pipelines.training.real import RealClips
from pipelines.training.tracker import train
from pipelines.training.trainer import Trainer
from tests.pipelines.training.test_real import write_clip
from tests.pipelines.training.training_makers import same_tensors, textures, tiny_config

_LENIENT = SelfTraining(clean_size=32, confidence=0.5, cycle_px=1000.0)
_SURE = "torch_cost_volume_track_mods.occ_out.bias"


def certain(trainer: Trainer) -> Trainer:
    """A network that was never trained, but is sure to see everything."""
    for weights in (trainer.network.state_dict(), trainer.ema):
        weights[_SURE] -= 8.0
    return trainer


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> RealClips:
    folder = tmp_path_factory.mktemp("videos")
    for source in range(20):
        write_clip(folder / f"walk_{source}__s00.avi")
    return RealClips.from_folder(folder)


def config_of(**changes: object) -> TrainConfig:
    return tiny_config(real_share=0.5, real=_LENIENT, **changes)


def run(config: TrainConfig, folder: Path, clips: RealClips, **keywords: object) -> Trainer:
    bank = textures()
    return train(config, bank, bank, folder, real=clips, workers=0, **keywords)  # type: ignore[arg-type]


def test_a_mixed_run_goes_on_exactly(clips: RealClips, tmp_path: Path) -> None:
    config = config_of()
    begin = tmp_path / "begin.pt"
    save_state(begin, certain(Trainer(config)).state())
    whole = run(config, tmp_path / "whole", clips, resume=begin)

    steps: list[float] = []
    keywords = {"report": lambda f: steps.append(f["step"]), "stop": lambda: len(steps) == 1}
    run(config, tmp_path / "parts", clips, resume=begin, **keywords)
    resumed = run(config, tmp_path / "parts", clips)
    assert same_tensors(resumed.state().model, whole.state().model)
    log = read_log(tmp_path / "parts")
    assert ["real" in line for line in log] == [False, True, False, True]
    assert all(0 < line["real"] <= 1 for line in log if "real" in line)
    assert 0 <= log[-1]["val_cycle"] <= 1


def test_the_parts_of_a_real_batch_are_those_of_one_process(clips: RealClips) -> None:
    config = config_of(batch_size=2)

    def drawn(ranks: Ranks) -> ViewBatch:
        stream = batches(config, textures(), first_step=1, workers=0, real=clips, ranks=ranks)
        batch = next(stream)
        assert isinstance(batch, ViewBatch)
        return batch

    whole, parts = drawn(Ranks()), [drawn(Ranks(rank, 2)) for rank in range(2)]
    for name, value in vars(whole).items():
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), value)


def test_the_teacher_is_the_average_or_a_file(clips: RealClips, tmp_path: Path) -> None:
    config = config_of()
    stream = batches(config, textures(), first_step=1, workers=0, real=clips)
    views = next(stream)
    other = certain(Trainer(config_of(seed=4)))
    save_checkpoint(tmp_path / "other.safetensors", other.ema, other.network.config)
    fixed = Trainer(config, teacher=tmp_path / "other.safetensors")
    own = Trainer(config)
    own.ema = {name: value.clone() for name, value in other.ema.items()}
    assert own.train_step(views)["real"] == fixed.train_step(views)["real"] > 0
    # Same network, same truth: the same step.
    assert same_tensors(own.state().model, fixed.state().model)
    plain = Trainer(config)  # sees nothing, so there is nothing to learn
    plain.train_step(views)
    assert not same_tensors(plain.state().model, own.state().model)


def test_real_clips_must_be_given(tmp_path: Path) -> None:
    bank = textures()
    with pytest.raises(ValueError, match=r"real_share is 0\.5, but there are no real clips"):
        train(config_of(), bank, bank, tmp_path, workers=0)
