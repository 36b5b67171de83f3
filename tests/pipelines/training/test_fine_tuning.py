"""Other networks than tapir-mini, and runs that begin with weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from models.checkpoints import load_network, save_checkpoint
from models.tapir import CONFIGS, Tapir
from pipelines.cli import main
from pipelines.training.checkpoint import CHECKPOINT, save_state
from pipelines.training.config import TrainConfig
from pipelines.training.tracker import train
from pipelines.training.trainer import Trainer
from tests.pipelines.training.training_makers import NARROW, same_tensors, textures, tiny_config

_PUBLISHED = ["tapir", "bootstapir", "causal-tapir", "causal-bootstapir"]


@pytest.fixture
def shrunken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published sizes with few channels, under their own names."""
    for name in _PUBLISHED:
        small = dataclasses.replace(
            CONFIGS[name],
            group_channels=(8, 8, 16, 16),
            cost_channels=(4, 8, 8),
            num_extra_convs=min(1, CONFIGS[name].num_extra_convs),
            mixer_channels=16,
            mixer_blocks=1,
        )
        monkeypatch.setitem(CONFIGS, name, small)


def started(config: TrainConfig, folder: Path, start: Path) -> Trainer:
    bank = textures()
    return train(config, bank, bank, folder, start=start, workers=0)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_every_network_can_be_named(name: str) -> None:
    assert TrainConfig(model=name).architecture() == CONFIGS[name]


@pytest.mark.parametrize("name", _PUBLISHED)
@pytest.mark.usefixtures("shrunken")
def test_a_published_checkpoint_is_tuned(name: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    weights = Tapir(CONFIGS[name]).state_dict()
    published = tmp_path / f"{name}.pt"
    torch.save(weights, published)
    # Without a learning rate the weights stay: what was read is what was published.
    still = tiny_config(model=name, learning_rate=0.0, weight_decay=0.0, steps=1)
    trainer = started(still, tmp_path / "still", published)
    assert same_tensors(trainer.network.state_dict(), weights)
    assert same_tensors(trainer.ema_network(32).state_dict(), weights)
    moved = started(tiny_config(model=name, steps=1), tmp_path / "moved", published)
    assert not same_tensors(moved.network.state_dict(), weights)
    assert moved.network.config.causal == CONFIGS[name].causal


@pytest.mark.parametrize("kind", ["weights", "checkpoint", "parts"])
def test_a_stage_starts_from_the_one_before(kind: str, tmp_path: Path) -> None:
    first = Trainer(tiny_config(seed=3))
    for value in first.ema.values():
        value += 0.25
    source = tmp_path / "first" / CHECKPOINT
    if kind == "weights":
        source = tmp_path / "tracker.safetensors"
        save_checkpoint(source, first.ema, first.network.config)
    else:
        save_state(source, first.state(), 60_000 if kind == "parts" else None)
    config = tiny_config(learning_rate=0.0, weight_decay=0.0, steps=1)
    second = started(config, tmp_path / "second", source)
    assert same_tensors(second.network.state_dict(), first.ema)
    assert second.step == 1


@pytest.mark.usefixtures("shrunken")
def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    path = tmp_path / "tapir.pt"
    torch.save(Tapir(CONFIGS["tapir"]).state_dict(), path)
    with pytest.raises(ValueError, match="cannot start a bootstapir") as caught:
        started(tiny_config(model="bootstapir"), tmp_path / "out", path)
    assert str(path) in str(caught.value)
    with pytest.raises(ValueError, match="no such file"):
        started(tiny_config(), tmp_path / "out", tmp_path / "missing.pt")


def test_a_network_with_a_part_changed_keeps_that_in_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = "size = 32\nnum_frames = 4\nnum_queries = 4\nbatch_size = 1\nsteps = 1\nbf16 = false\n"
    toml += "validation_clips = 1\nwarmup_steps = 0\n[network]\npyramid_level = 0\n"
    toml += "\n".join(f"{name} = {value}" for name, value in NARROW.items())
    (tmp_path / "run.toml").write_text(toml)
    config = ["--config", str(tmp_path / "run.toml")]
    out = tmp_path / "out"
    for words in (
        ["tracker", *config, "--workers", "0", "-o", str(out)],
        ["weights", str(out), *config, "-o", str(tmp_path / "again.safetensors")],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["train", *words])
        assert stopped.value.code == 0, capsys.readouterr().err
    assert (out / "tracker.safetensors").read_bytes() == (
        tmp_path / "again.safetensors"
    ).read_bytes()
    network, _ = load_network(checkpoint=out / "tracker.safetensors")
    assert network.config.pyramid_level == 0
    assert network.config.initial_resolution == (256, 256)
    assert network.config.num_iterations == 4
