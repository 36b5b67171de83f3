"""A network small enough to write and read hundreds of times, and its weights in JAX form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.tapir import CONFIGS, Tapir, TapirConfig

Params = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="session")
def small() -> TapirConfig:
    return replace(
        CONFIGS["bootstapir"],
        name="small",
        group_channels=(8, 12, 12, 16),
        cost_channels=(4, 6, 5),
        mixer_channels=10,
        mixer_blocks=3,
        num_extra_convs=2,
    )


@pytest.fixture(scope="session")
def small_state(small: TapirConfig) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(t.shape) for name, t in Tapir(small).state_dict().items()}


@pytest.fixture
def jax_params(small_state: dict[str, torch.Tensor]) -> Params:
    """The same weights, written down by hand as Haiku names them and lays them out."""
    params: Params = {}

    def put(module: str, torch_name: str, parameters: str) -> None:
        for name in parameters.split():
            kind = "weight" if name in ("w", "scale") else "bias"
            array = small_state[f"{torch_name}.{kind}"].numpy()
            if array.ndim == 4:
                array = np.einsum("oihw->hwio", array)
            elif array.ndim == 3:
                array = np.einsum("oiw->wio", array)
            elif array.ndim == 2:
                array = np.einsum("oi->io", array)
            params.setdefault(f"tapir/~/{module}", {})[name] = np.ascontiguousarray(array)

    put("resnet/~/initial_conv", "resnet_torch.initial_conv", "w")
    for group in range(4):
        for block in range(2):
            ours = f"resnet_torch.block_groups.{group}.blocks.{block}"
            theirs = f"resnet/~/block_group_{group}/~/block_{block}/~"
            if block == 0:
                put(f"{theirs}/shortcut_conv", f"{ours}.proj_conv", "w")
            for index in range(2):
                put(f"{theirs}/conv_{index}", f"{ours}.conv_{index}", "w")
                put(f"{theirs}/instancenorm_{index}", f"{ours}.bn_{index}", "scale offset")
    for block, (first, second, norm) in enumerate(
        [("conv2_d", "conv2_d_1", "layer_norm"), ("conv2_d_2", "conv2_d_3", "layer_norm_1")]
    ):
        put(f"extra_convs/{first}", f"extra_convs.blocks.{block}.conv", "w b")
        put(f"extra_convs/{second}", f"extra_convs.blocks.{block}.conv_1", "w b")
        put(f"extra_convs/{norm}", f"extra_convs.blocks.{block}.layer_norm", "scale offset")
    for theirs, layer in {
        "cost_volume_regression_1": "hid1",
        "cost_volume_regression_2": "hid2",
        "cost_volume_occlusion_1": "hid3",
        "cost_volume_occlusion_2": "hid4",
        "occlusion_out": "occ_out",
    }.items():
        put(theirs, f"torch_cost_volume_track_mods.{layer}", "w b")
    for name, parameters in {"linear": "w b", "linear_1": "w b", "layer_norm": "scale"}.items():
        put(f"pips_mlp_mixer/{name}", f"torch_pips_mixer.{name}", parameters)
    for block, theirs in enumerate(["block", "block_1", "block_2"]):
        ours = f"torch_pips_mixer.blocks.{block}"
        for norm in ("layer_norm", "layer_norm_1"):
            put(f"pips_mlp_mixer/{theirs}/{norm}", f"{ours}.{norm}", "scale")
        for conv in ("mlp1_up", "mlp1_up_1"):
            put(f"pips_mlp_mixer/{theirs}/{conv}", f"{ours}.{conv}", "w b")
        for linear in ("mlp2_up", "mlp2_down"):
            put(f"pips_mlp_mixer/{theirs}/{linear}", f"{ours}.conv_channels_mixer.{linear}", "w b")
    return params
