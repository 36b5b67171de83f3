"""From the parameter names and layouts of the published JAX networks to those of torch.

JAX names are ``module/path:parameter``. Haiku numbers repeated modules ``block``, ``block_1``,
…; it keeps channels last, torch keeps them first, so every weight has its axes reversed or
rotated according to their number alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

from models.checkpoints.errors import CheckpointError

_PARAMETERS = {"w": "weight", "b": "bias", "scale": "weight", "offset": "bias"}
_AXES = {
    1: (0,),
    2: (1, 0),  # linear: in, out → out, in
    3: (2, 1, 0),  # temporal convolution: width, in, out → out, in, width
    4: (3, 2, 0, 1),  # convolution: height, width, in, out → out, in, height, width
}
_COST_VOLUME = {
    "cost_volume_regression_1": "hid1",
    "cost_volume_regression_2": "hid2",
    "cost_volume_occlusion_1": "hid3",
    "cost_volume_occlusion_2": "hid4",
    "occlusion_out": "occ_out",
}


def _number(text: str | None) -> int:
    return int(text) if text else 0


def _resnet_block(match: re.Match[str]) -> str:
    group, block, layer = match.groups()
    layer = layer.replace("instancenorm", "bn").replace("shortcut_conv", "proj_conv")
    return f"resnet_torch.block_groups.{group}.blocks.{block}.{layer}"


def _mixer_block(match: re.Match[str]) -> str:
    inner = "conv_channels_mixer." if match[2].startswith("mlp2") else ""
    return f"torch_pips_mixer.blocks.{_number(match[1])}.{inner}{match[2]}"


def _extra_conv(match: re.Match[str]) -> str:
    block, second = divmod(_number(match[1]), 2)  # two convolutions in a block
    return f"extra_convs.blocks.{block}.conv{'_1' if second else ''}"


_RULES: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"resnet/~/initial_conv", lambda m: "resnet_torch.initial_conv"),
    (
        r"resnet/~/block_group_(\d+)/~/block_(\d+)/~/(shortcut_conv|conv_[01]|instancenorm_[01])",
        _resnet_block,
    ),
    (
        r"pips_mlp_mixer/block(?:_(\d+))?/(layer_norm(?:_1)?|mlp1_up(?:_1)?|mlp2_(?:up|down))",
        _mixer_block,
    ),
    (r"pips_mlp_mixer/(linear(?:_1)?|layer_norm)", lambda m: f"torch_pips_mixer.{m[1]}"),
    (r"extra_convs/conv2_d(?:_(\d+))?", _extra_conv),
    (
        r"extra_convs/layer_norm(?:_(\d+))?",
        lambda m: f"extra_convs.blocks.{_number(m[1])}.layer_norm",
    ),
    ("|".join(_COST_VOLUME), lambda m: f"torch_cost_volume_track_mods.{_COST_VOLUME[m[0]]}"),
)
_COMPILED = tuple((re.compile(pattern), rename) for pattern, rename in _RULES)


def torch_name(jax_name: str) -> str | None:
    """The torch name of a JAX parameter ``tapir/~/module:parameter``; None if there is none.

    >>> torch_name("tapir/~/pips_mlp_mixer/block_3/mlp2_up:w")
    'torch_pips_mixer.blocks.3.conv_channels_mixer.mlp2_up.weight'
    """
    module, _, parameter = jax_name.removeprefix("tapir/~/").rpartition(":")
    for pattern, rename in _COMPILED:
        match = pattern.fullmatch(module)
        if match is not None and parameter in _PARAMETERS:
            return f"{rename(match)}.{_PARAMETERS[parameter]}"
    return None


def torch_axes(ndim: int) -> tuple[int, ...]:
    """The order in which torch wants the axes of a JAX parameter with so many of them."""
    if ndim not in _AXES:
        raise CheckpointError(f"no TAPIR parameter has {ndim} axes")
    return _AXES[ndim]


def torch_state(params: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """All parameters ``{module: {name: array}}`` under torch names, contiguous in torch layout.

    Raises:
        CheckpointError: a parameter that no TAPIR network has, or two of one name.
    """
    state: dict[str, np.ndarray] = {}
    for module, parameters in params.items():
        for parameter, array in parameters.items():
            jax_name = f"{module}:{parameter}"
            name = torch_name(jax_name)
            if name is None or name in state:
                raise CheckpointError(f"no TAPIR network has a parameter {jax_name!r}")
            state[name] = np.array(array.transpose(torch_axes(array.ndim)), order="C")
    return state
