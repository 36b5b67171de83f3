from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoints import (
    CheckpointError,
    PublishedCheckpoint,
    cache_folder,
    find_checkpoint,
    load_network,
    read_config,
    save_checkpoint,
)
from models.checkpoints import load as load_module
from models.checkpoints.registry import PUBLISHED
from models.tapir import CONFIGS, Tapir, TapirConfig

State = dict[str, Tensor]


def sha16(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@pytest.fixture
def saved(tmp_path: Path, small_state: State, small: TapirConfig) -> Path:
    path = tmp_path / "anything.safetensors"
    save_checkpoint(path, small_state, small)
    return path


@pytest.fixture
def small_tapir(
    monkeypatch: pytest.MonkeyPatch, small: TapirConfig
) -> tuple[TapirConfig, TapirConfig]:
    """`tapir` and `causal-tapir` with the small widths, so that plain files of them are small."""
    offline = replace(small, name="tapir", softmax_temperature=20.0)
    causal = replace(offline, name="causal-tapir", causal=True)
    monkeypatch.setitem(CONFIGS, "tapir", offline)
    monkeypatch.setitem(CONFIGS, "causal-tapir", causal)
    return offline, causal


def test_a_file_of_ours_needs_no_hint(saved: Path, small: TapirConfig, small_state: State) -> None:
    assert read_config(saved) == small
    network, digest = load_network(checkpoint=saved)
    assert network.config == small
    assert digest == sha16(saved)
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, small_state[name])


def test_loaded_network_computes_what_the_saved_one_did(saved: Path, small: TapirConfig) -> None:
    network, _ = load_network(checkpoint=str(saved))
    original = Tapir(small).eval()
    original.load_state_dict(network.state_dict())
    video, queries = torch.rand(1, 3, 64, 64, 3), torch.tensor([[[0.0, 20.0, 30.0]]])
    with torch.inference_mode():
        found, _ = network(video, queries)
        expected, _ = original(video, queries)
    assert torch.equal(found.tracks, expected.tracks)


def test_half_precision_files_become_float32(
    tmp_path: Path, small_state: State, small: TapirConfig
) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, {k: v.bfloat16() for k, v in small_state.items()}, small)
    network, _ = load_network(checkpoint=path)
    key = "torch_pips_mixer.linear.weight"
    assert torch.equal(network.state_dict()[key], small_state[key].bfloat16().float())


def test_no_temporary_file_stays(saved: Path) -> None:
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"mixer_channels": 11}, "expected mixer_channels 11, found 10"),
        ({"mixer_blocks": 10**9}, "expected mixer_blocks"),
        ({"colour": "red"}, "unknown entry 'colour'"),
        ({"causal": "yes"}, "entry 'causal' is 'yes'"),
        ({"group_channels": [8, 12]}, "entry 'group_channels'"),
        ({"mixer_channels": True}, "entry 'mixer_channels' is True"),
    ],
)
def test_carried_configuration_is_checked(
    tmp_path: Path,
    small_state: State,
    small: TapirConfig,
    change: dict[str, object],
    message: str,
) -> None:
    path = tmp_path / "weights.safetensors"
    text = json.dumps(asdict(small) | change)
    save_file(small_state, path, metadata={"tapirus.config": text})
    with pytest.raises(CheckpointError, match=message) as raised:
        load_network(checkpoint=path)
    assert str(raised.value).startswith(str(path))


def test_published_file_name_tells_the_rest(
    tmp_path: Path, small_tapir: tuple[TapirConfig, TapirConfig], small_state: State
) -> None:
    offline, causal = small_tapir
    for file, config in {
        "tapir_checkpoint_panning.pt": offline,
        "causal_tapir_checkpoint.pt": causal,
    }.items():
        torch.save(small_state, tmp_path / file)
        assert load_network(checkpoint=tmp_path / file)[0].config == config


def test_renamed_file_needs_a_name(
    tmp_path: Path, small_tapir: tuple[TapirConfig, TapirConfig], small_state: State
) -> None:
    path = tmp_path / "renamed.pt"
    torch.save(small_state, path)
    with pytest.raises(CheckpointError, match=r"they fit tapir and causal-tapir.*give its name"):
        load_network(checkpoint=path)
    assert load_network("causal-tapir", path)[0].config == small_tapir[1]
    with pytest.raises(CheckpointError, match="not weights of bootstapir"):
        load_network("bootstapir", path)


def test_jax_file_loads_as_its_torch_twin(
    tmp_path: Path,
    small_tapir: tuple[TapirConfig, TapirConfig],
    small_state: State,
    jax_params: dict[str, dict[str, np.ndarray]],
) -> None:
    path = tmp_path / "causal_tapir_checkpoint.npy"
    np.save(path, np.array({"params": jax_params, "state": {}}, dtype=object), allow_pickle=True)
    network, _ = load_network(checkpoint=path)
    assert network.config == small_tapir[1]
    assert all(torch.equal(t, small_state[k]) for k, t in network.state_dict().items())


def test_names_that_do_not_agree(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="unknown tracker 'tapnet': choose one of tapir, "):
        load_network("tapnet")
    with pytest.raises(CheckpointError, match="weights of small, not of bootstapir"):
        load_network("bootstapir", saved)
    with pytest.raises(CheckpointError, match="no such file"):
        load_network(checkpoint=saved.with_name("missing.pt"))


def test_bundled_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_state: State, small: TapirConfig
) -> None:
    monkeypatch.setattr(load_module.resources, "files", lambda package: tmp_path / package)
    with pytest.raises(CheckpointError, match="bundled weights are missing"):
        load_network()
    (tmp_path / "models" / "weights").mkdir(parents=True)
    path = tmp_path / "models" / "weights" / "tapir-mini.safetensors"
    save_checkpoint(path, small_state, replace(small, name="tapir-mini"))
    network, digest = load_network()
    assert network.config == replace(small, name="tapir-mini")
    assert digest == sha16(path)


def test_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("TAPIRUS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/home/somebody/.cache/tapirus")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/tapirus")
    monkeypatch.setenv("TAPIRUS_CACHE", "~/weights")
    assert cache_folder() == Path("/home/somebody/weights")


def test_cached_file_is_recorded_then_verified(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_tapir: tuple[TapirConfig, TapirConfig],
    small_state: State,
) -> None:
    monkeypatch.setenv("TAPIRUS_CACHE", str(tmp_path))
    assert find_checkpoint("tapir") is None
    path = tmp_path / "tapir_checkpoint_panning.pt"
    torch.save(small_state, path)
    assert find_checkpoint("tapir") == path
    network, digest = load_network("tapir")
    assert network.config == small_tapir[0]
    record = tmp_path / "tapir_checkpoint_panning.pt.sha256"
    assert record.read_text().split() == [
        hashlib.sha256(path.read_bytes()).hexdigest(),
        path.name,
    ]
    assert digest == sha16(path)
    assert load_network("tapir")[1] == digest

    torch.save({k: v + 1 for k, v in small_state.items()}, path)
    with pytest.raises(CheckpointError, match=r"has changed since it was recorded.*delete both"):
        load_network("tapir")


def test_nothing_published_under_that_name() -> None:
    with pytest.raises(CheckpointError, match="no published weights for 'tapir-mini'"):
        find_checkpoint("tapir-mini")


def test_cache_takes_any_published_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPIRUS_CACHE", str(tmp_path))
    entry = PublishedCheckpoint("tapir", ("https://a/x.pt", "https://a/x.npy"), 1)
    monkeypatch.setitem(PUBLISHED, "tapir", entry)
    (tmp_path / "x.npy").touch()
    assert find_checkpoint("tapir") == tmp_path / "x.npy"
