"""Which network a state dict is for, from the shapes of its tensors and a name.

Shapes tell the architecture. They cannot tell a causal network from one that looks both ways,
nor the temperature of its heat map; those come from the name of the configuration. Networks with
a part taken away have no name and are known by the configuration that their file carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from models.checkpoints.errors import CheckpointError
from models.tapir import CONFIGS, Tapir, TapirConfig

_SCORES = 7 * 7  # cells of one local score map
_LOGITS = 4  # position, occlusion and uncertainty, before the features
_COST_VOLUME = "torch_cost_volume_track_mods"
_MIXER = "torch_pips_mixer"

State = Mapping[str, Tensor]


def config_for(state_dict: State, name: str | None = None) -> TapirConfig:
    """The configuration of the network that ``state_dict`` fits.

    Args:
        state_dict: tensors by torch name, on any device (``meta`` too).
        name: one of :data:`models.tapir.CONFIGS`. Needed only where several of them share
            these shapes.

    Raises:
        CheckpointError: not a TAPIR state dict; not of the named network; or no name and
            the shapes fit none or several.
    """
    shapes = architecture(state_dict)
    if name is None:
        name = _only_fit(shapes)
    if name not in CONFIGS:
        raise CheckpointError(f"unknown tracker {name!r}: choose one of {', '.join(CONFIGS)}")
    config = _fitted(CONFIGS[name], shapes)
    for key, expected in architecture_of(config).items():
        found = shapes[key]
        if found != expected:
            fits = _fits(shapes)
            remedy = f"name it {' or '.join(fits)}" if fits else "use a published file"
            raise CheckpointError(
                f"not weights of {name}: expected {key} {expected}, found {found}; {remedy}"
            )
    check_shapes(state_dict, config)
    return config


def check_shapes(state_dict: State, config: TapirConfig) -> None:
    """Every tensor of the network is there, of its shape, and no other.

    Raises:
        CheckpointError: naming the first tensor that differs.
    """
    expected = architecture_of(config)
    found = architecture(state_dict)
    for key, value in expected.items():  # also keeps hostile sizes away from the network below
        if found[key] != value:
            raise CheckpointError(
                f"tensors do not fit their configuration {config.name}: expected {key} {value}, "
                f"found {found[key]}"
            )
    with torch.device("meta"):
        wanted = {key: tuple(t.shape) for key, t in Tapir(config).state_dict().items()}
    for key, shape in wanted.items():
        if key not in state_dict:
            raise CheckpointError(f"tensor {key!r} of {config.name} is missing")
        if tuple(state_dict[key].shape) != shape:
            raise CheckpointError(
                f"tensor {key!r} of {config.name} has shape {list(state_dict[key].shape)}, "
                f"expected {list(shape)}"
            )
    extra = sorted(set(state_dict) - set(wanted))
    if extra:
        raise CheckpointError(f"tensor {extra[0]!r} is not part of {config.name}")


def architecture(state_dict: State) -> dict[str, Any]:
    """The fields of a configuration that shapes tell.

    Raises:
        CheckpointError: tensors are missing that every TAPIR network has.
    """

    def size(key: str, axis: int = 0) -> int:
        tensor = state_dict.get(key)
        if tensor is None or tensor.ndim <= axis or not tensor.shape[axis]:
            raise CheckpointError(f"not a TAPIR state dict: no proper tensor {key!r}")
        return tensor.shape[axis]

    def count(template: str) -> int:
        number = 0
        while template.format(number) in state_dict:
            number += 1
        return number

    initialisation = f"{_COST_VOLUME}.hid1.weight" in state_dict
    windowed = f"{_MIXER}.blocks.0.time_up.weight" in state_dict
    group_channels = tuple(
        size(f"resnet_torch.block_groups.{group}.blocks.0.conv_0.weight") for group in range(4)
    )
    mixer_channels = size(f"{_MIXER}.linear.weight")
    mixer_window = size(f"{_MIXER}.blocks.0.time_up.weight", 1) if windowed else 0
    up = size(f"{_MIXER}.blocks.0.{'time_up' if windowed else 'mlp1_up'}.weight")
    features = size(f"{_MIXER}.linear_1.weight") - _LOGITS
    highres = features != group_channels[3]
    maps, rest = divmod(size(f"{_MIXER}.linear.weight", 1) - _LOGITS - features, _SCORES)
    if rest or maps < 1 + highres or features != group_channels[3] + highres * group_channels[1]:
        raise CheckpointError(
            "not a TAPIR state dict: the mixer's input is not logits, features and score maps"
        )
    return {
        "group_channels": group_channels,
        "num_extra_convs": count("extra_convs.blocks.{}.conv.weight"),
        "initialisation": initialisation,
        "cost_channels": tuple(size(f"{_COST_VOLUME}.hid{layer}.weight") for layer in (1, 3, 4))
        if initialisation
        else None,
        "pyramid_level": maps - 1 - highres,
        "highres": highres,
        "mixer_channels": mixer_channels,
        "mixer_blocks": count(f"{_MIXER}.blocks.{{}}.layer_norm_1.weight"),
        "mixer_window": mixer_window,
        "mixer_expansion": up // (mixer_window or mixer_channels),
    }


def architecture_of(config: TapirConfig) -> dict[str, Any]:
    """The same fields of a given configuration."""
    keys = (
        "group_channels",
        "num_extra_convs",
        "initialisation",
        "cost_channels",
        "pyramid_level",
        "highres",
        "mixer_channels",
        "mixer_blocks",
        "mixer_window",
        "mixer_expansion",
    )
    values = {key: getattr(config, key) for key in keys}
    return values if config.initialisation else {**values, "cost_channels": None}


def _fitted(config: TapirConfig, shapes: Mapping[str, Any]) -> TapirConfig:
    """The publisher describes online TAPIR with and without a pooled level: the file decides."""
    if config.name == "causal-tapir" and shapes["pyramid_level"] in (0, 1):
        return replace(config, pyramid_level=shapes["pyramid_level"])
    return config


def _fits(shapes: Mapping[str, Any]) -> list[str]:
    configs = CONFIGS.values()
    return [c.name for c in configs if architecture_of(_fitted(c, shapes)) == shapes]


def _only_fit(shapes: Mapping[str, Any]) -> str:
    fits = _fits(shapes)
    if len(fits) != 1:
        known = f"they fit {' and '.join(fits)}" if fits else "they fit no known network"
        raise CheckpointError(
            f"the tensors do not tell which network this is ({known}): give its name"
        )
    return fits[0]
