from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.checkpoints import CheckpointError, config_for
from models.checkpoints.infer import architecture, architecture_of
from models.checkpoints.registry import PUBLISHED, name_from_file
from models.tapir import CONFIGS, Tapir, TapirConfig


def meta_state(config: TapirConfig) -> dict[str, Tensor]:
    with torch.device("meta"):
        return dict(Tapir(config).state_dict())


@pytest.mark.parametrize("name", CONFIGS)
def test_named_configurations(name: str) -> None:
    assert config_for(meta_state(CONFIGS[name]), name) == CONFIGS[name]


def test_architecture_of_other_widths(small: TapirConfig) -> None:
    for config in (
        small,
        replace(small, num_extra_convs=0, pyramid_level=2, mixer_expansion=2),
        replace(small, mixer_blocks=1, pyramid_level=0),
    ):
        assert architecture(meta_state(config)) == architecture_of(config)


def test_online_tapir_with_a_pooled_level() -> None:
    """Published descriptions differ; the width of the mixer's input decides."""
    for level, width in ((0, 486), (1, 535)):
        state = meta_state(replace(CONFIGS["causal-tapir"], pyramid_level=level))
        assert state["torch_pips_mixer.linear.weight"].shape[1] == width
        config = config_for(state, "causal-tapir")
        assert config == replace(CONFIGS["causal-tapir"], pyramid_level=level)
    # No other network has this shape, so it needs no name.
    assert config_for(meta_state(config)) == config


def test_shapes_alone_where_they_suffice() -> None:
    assert config_for(meta_state(CONFIGS["tapir-mini"])).name == "tapir-mini"
    with pytest.raises(CheckpointError, match="they fit bootstapir and causal-bootstapir"):
        config_for(meta_state(CONFIGS["bootstapir"]))


@pytest.mark.parametrize(
    "state_of, name, message",
    [
        (
            "bootstapir",
            "tapir",
            "not weights of tapir: expected num_extra_convs 0, found 5; "
            "name it bootstapir or causal-bootstapir",
        ),
        ("tapir", "bootstapir", "expected num_extra_convs 5, found 0; name it tapir or causal-"),
        ("tapir", "tapir-mini", "expected group_channels"),
        ("tapir", "tapnet", "unknown tracker 'tapnet': choose one of tapir, "),
    ],
)
def test_name_and_shapes_disagree(state_of: str, name: str, message: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        config_for(meta_state(CONFIGS[state_of]), name)
    assert message in str(raised.value)


def test_unknown_widths_need_more_than_a_name(small: TapirConfig) -> None:
    with pytest.raises(CheckpointError, match="they fit no known network"):
        config_for(meta_state(small))


def test_incomplete_and_foreign_state_dicts() -> None:
    state = meta_state(CONFIGS["tapir"])
    key = "torch_pips_mixer.blocks.7.layer_norm.weight"
    with pytest.raises(CheckpointError, match=r"tensor 'other' is not part of tapir"):
        config_for({**state, "other": state[key]}, "tapir")
    with pytest.raises(CheckpointError, match=r"has shape \[3\], expected \[512\]"):
        config_for({**state, key: torch.empty(3, device="meta")}, "tapir")
    with pytest.raises(CheckpointError, match=f"{key}.* is missing"):
        config_for({k: v for k, v in state.items() if k != key}, "tapir")
    with pytest.raises(CheckpointError, match="not a TAPIR state dict"):
        config_for({"conv.weight": torch.empty(3, 3)}, "tapir")
    width = {"torch_pips_mixer.linear.weight": torch.empty(512, 500, device="meta")}
    with pytest.raises(CheckpointError, match="mixer's input"):
        config_for({**state, **width}, "tapir")
    with pytest.raises(CheckpointError, match="not a TAPIR state dict"):
        config_for({}, "tapir")


@pytest.mark.parametrize(
    "file, name",
    [
        ("tapir_checkpoint_panning.pt", "tapir"),
        ("/some/causal_folder/tapir_checkpoint.npy", "tapir"),
        ("bootstapir_checkpoint_v2.pt", "bootstapir"),
        ("causal_tapir_checkpoint.npy", "causal-tapir"),
        ("causal_tapir_checkpoint_panning.npy", "causal-tapir"),
        ("causal_bootstapir_checkpoint.pt", "causal-bootstapir"),
        ("bootstapir_checkpoint_v2 (1).pt", "bootstapir"),
        ("Causal-BootsTAPIR.safetensors", "causal-bootstapir"),
        ("tapirus.pt", None),
        ("weights.pt", None),
        ("not_causal_tapir.pt", None),
    ],
)
def test_names_of_files(file: str, name: str | None) -> None:
    assert name_from_file(file) == name


def test_published_files_name_themselves() -> None:
    for name, entry in PUBLISHED.items():
        assert {name_from_file(file) for file in entry.file_names} == {name}
        parameters = sum(t.numel() for t in meta_state(CONFIGS[name]).values())
        assert entry.weight_bytes == 4 * parameters


@pytest.mark.shared
@pytest.mark.parametrize("name", ["tapir", "bootstapir"])
def test_published_shapes(name: str, shared_root: Path) -> None:
    table = json.loads((shared_root / "golden" / "tapir_state_dict.json").read_text())[name]
    state = {key: torch.empty(shape, device="meta") for key, shape in table}
    assert config_for(state, name) == CONFIGS[name]
    assert config_for(state, f"causal-{name}") == CONFIGS[f"causal-{name}"]
