from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.checkpoints import CheckpointError
from models.checkpoints.jax_names import torch_axes, torch_name, torch_state

TRUTH = {
    "resnet/~/initial_conv:w": "resnet_torch.initial_conv.weight",
    "resnet/~/block_group_2/~/block_0/~/shortcut_conv:w": (
        "resnet_torch.block_groups.2.blocks.0.proj_conv.weight"
    ),
    "resnet/~/block_group_1/~/block_1/~/instancenorm_0:offset": (
        "resnet_torch.block_groups.1.blocks.1.bn_0.bias"
    ),
    "pips_mlp_mixer/block/layer_norm_1:scale": "torch_pips_mixer.blocks.0.layer_norm_1.weight",
    "pips_mlp_mixer/block_11/mlp1_up_1:w": "torch_pips_mixer.blocks.11.mlp1_up_1.weight",
    "pips_mlp_mixer/block_5/mlp2_down:b": (
        "torch_pips_mixer.blocks.5.conv_channels_mixer.mlp2_down.bias"
    ),
    "pips_mlp_mixer/linear_1:b": "torch_pips_mixer.linear_1.bias",
    "cost_volume_occlusion_2:w": "torch_cost_volume_track_mods.hid4.weight",
    "occlusion_out:b": "torch_cost_volume_track_mods.occ_out.bias",
    "extra_convs/conv2_d:w": "extra_convs.blocks.0.conv.weight",
    "extra_convs/conv2_d_9:b": "extra_convs.blocks.4.conv_1.bias",
    "extra_convs/layer_norm_3:offset": "extra_convs.blocks.3.layer_norm.bias",
}


@pytest.mark.parametrize("name", TRUTH)
def test_names(name: str) -> None:
    assert torch_name(f"tapir/~/{name}") == TRUTH[name]


@pytest.mark.parametrize(
    "name",
    [
        "tapir/~/pips_mlp_mixer/block_1/mlp3:w",
        "tapir/~/occlusion_out:scales",
        "tapir/~/occlusion_out",
        "tapir/~/resnet/~/initial_conv_2:w",
        "tapnet/~/occlusion_out:w",
    ],
)
def test_foreign_names_have_no_counterpart(name: str) -> None:
    assert torch_name(name) is None


def test_layouts() -> None:
    for theirs, ours in {
        (7, 7, 3, 64): (64, 3, 7, 7),
        (3, 1, 2048): (2048, 1, 3),
        (486, 512): (512, 486),
        (64,): (64,),
    }.items():
        assert tuple(theirs[axis] for axis in torch_axes(len(theirs))) == ours


def test_foreign_parameters_are_refused() -> None:
    with pytest.raises(CheckpointError, match="tapir/~/other:w"):
        torch_state({"tapir/~/other": {"w": np.zeros(3)}})
    with pytest.raises(CheckpointError, match="5 axes"):
        torch_state({"tapir/~/occlusion_out": {"w": np.zeros((1, 1, 1, 1, 1))}})


@pytest.mark.shared
@pytest.mark.parametrize("name", ["tapir", "bootstapir"])
def test_every_published_name_and_shape(name: str, shared_root: Path) -> None:
    table = json.loads((shared_root / "golden" / f"jax_to_torch_names_{name}.json").read_text())
    assert len(table) >= 188
    for jax_name, (expected, jax_shape, torch_shape) in table.items():
        assert torch_name(jax_name) == expected
        assert [jax_shape[axis] for axis in torch_axes(len(jax_shape))] == torch_shape
