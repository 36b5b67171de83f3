"""Weights of networks with a part taken away: known by what their file carries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints import CheckpointError, config_for, load_network, save_checkpoint
from models.checkpoints.infer import architecture, architecture_of, check_shapes
from models.tapir import CONFIGS, Tapir, TapirConfig
from tests.models.tapir.test_ablations import SWITCHES

ABLATED = pytest.mark.parametrize("changes", SWITCHES.values(), ids=list(SWITCHES))


@ABLATED
def test_a_file_carries_its_configuration(
    tmp_path: Path, small: TapirConfig, changes: dict[str, object]
) -> None:
    config = replace(small, **changes)  # type: ignore[arg-type]
    original = Tapir(config).eval()
    path = tmp_path / "ablated.safetensors"
    save_checkpoint(path, original.state_dict(), config)
    network, _ = load_network(checkpoint=path)
    assert network.config == config
    video, queries = torch.rand(1, 3, 64, 64, 3), torch.tensor([[[1.0, 20.0, 30.0]]])
    with torch.inference_mode():
        found, expected = network(video, queries)[0], original(video, queries)[0]
    assert torch.equal(found.tracks, expected.tracks)
    assert torch.equal(found.uncertainty, expected.uncertainty)


@ABLATED
def test_shapes_tell_what_is_missing(small: TapirConfig, changes: dict[str, object]) -> None:
    config = replace(small, **changes)  # type: ignore[arg-type]
    with torch.device("meta"):
        state = Tapir(config).state_dict()
    assert architecture(state) == architecture_of(config)
    check_shapes(state, config)


@pytest.mark.parametrize("key", ["initialisation", "mixer_window", "uncertainty", "highres"])
def test_another_configuration_than_the_weights(
    tmp_path: Path, small: TapirConfig, key: str
) -> None:
    """A switch that the weights do not have is refused, also where only one shape differs."""
    changed = replace(small, **{key: 8 if key == "mixer_window" else False})
    path = tmp_path / "wrong.safetensors"
    save_checkpoint(path, Tapir(small).state_dict(), changed)
    with pytest.raises(CheckpointError, match=f"expected {key}|occ_out.*expected"):
        load_network(checkpoint=path)


@pytest.mark.parametrize("name", sorted(SWITCHES.keys() - {"no-refinement"}))
def test_without_a_configuration_they_are_refused(
    tmp_path: Path, small: TapirConfig, name: str
) -> None:
    config = replace(small, **SWITCHES[name])  # type: ignore[arg-type]
    state = Tapir(config).state_dict()
    path = tmp_path / "plain.safetensors"
    save_file(state, path)
    with pytest.raises(CheckpointError, match="do not tell which network"):
        load_network(checkpoint=path)


@pytest.mark.parametrize("changes", [{"uncertainty": False}, {"highres": False}])
def test_published_sizes_without_a_part_are_no_published_networks(
    changes: dict[str, bool],
) -> None:
    with torch.device("meta"):
        state = Tapir(replace(CONFIGS["tapir-mini"], **changes)).state_dict()
    with pytest.raises(
        CheckpointError, match=r"occ_out.* has shape \[1, 16\]|expected highres True"
    ):
        config_for(state, "tapir-mini")
