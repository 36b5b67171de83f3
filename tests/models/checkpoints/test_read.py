from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.checkpoints import CheckpointError, read_state_dict, save_checkpoint
from models.tapir import TapirConfig

State = dict[str, Tensor]
Params = dict[str, dict[str, np.ndarray]]


def assert_same(read: State, expected: State) -> None:
    assert set(read) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(read[name], tensor), name


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_torch_file(tmp_path: Path, small_state: State, suffix: str) -> None:
    torch.save(small_state, tmp_path / f"weights{suffix}")
    assert_same(read_state_dict(tmp_path / f"weights{suffix}"), small_state)


def test_safetensors_file(tmp_path: Path, small_state: State, small: TapirConfig) -> None:
    save_checkpoint(tmp_path / "weights.safetensors", small_state, small)
    assert_same(read_state_dict(tmp_path / "weights.safetensors"), small_state)


def test_jax_file(tmp_path: Path, small_state: State, jax_params: Params) -> None:
    path = tmp_path / "weights.npy"
    tree = {"params": jax_params, "state": {}, "global_step": np.int64(7)}
    np.save(path, np.array(tree, dtype=object), allow_pickle=True)
    assert_same(read_state_dict(path), small_state)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npy"])
@pytest.mark.parametrize(
    "content, expected",
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>sign in</body></html>", "web page"),
        (b"  <html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"not weights at all, only a line of text\n" * 9, "truncated"),
    ],
)
def test_files_that_hold_no_weights(
    tmp_path: Path, suffix: str, content: bytes, expected: str
) -> None:
    path = write(tmp_path / f"weights{suffix}", content)
    with pytest.raises(CheckpointError, match=expected) as raised:
        read_state_dict(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npy"])
def test_truncated(
    tmp_path: Path,
    small_state: State,
    small: TapirConfig,
    jax_params: Params,
    suffix: str,
    kept: float,
) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(small_state, path)
    elif suffix == ".npy":
        np.save(path, np.array({"params": jax_params}, dtype=object), allow_pickle=True)
    else:
        save_checkpoint(path, small_state, small)
    read_state_dict(path)
    whole = path.read_bytes()
    write(path, whole[: int(kept * len(whole))])
    with pytest.raises(CheckpointError, match=r"truncated.*fetch it again"):
        read_state_dict(path)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_state_dict(tmp_path / "missing.pt")
    with pytest.raises(CheckpointError, match="a folder"):
        read_state_dict(tmp_path)
    with pytest.raises(CheckpointError, match="unknown kind"):
        read_state_dict(write(tmp_path / "weights.bin", b"1234"))


def test_safetensors_header_may_begin_with_any_byte(tmp_path: Path) -> None:
    """It is part of a length: 32 is no white space before a web page."""
    from safetensors.torch import save

    tensors = {"w": torch.ones(1)}
    firsts = set()
    for padding in range(0, 256, 8):
        content = save(tensors, metadata={"padding": "x" * padding})
        firsts.add(content[0])
        path = write(tmp_path / "weights.safetensors", content)
        assert_same(read_state_dict(path), tensors)
    assert 32 in firsts


def test_other_contents(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": {"w": torch.ones(1)}}, path)
    with pytest.raises(CheckpointError, match="'state_dict' is a dict"):
        read_state_dict(path)
    torch.save([torch.ones(1)], path)
    with pytest.raises(CheckpointError, match="holds a list"):
        read_state_dict(path)
    torch.save({"w": torch.ones(3, dtype=torch.int64)}, path)
    with pytest.raises(CheckpointError, match="'w' is not a dense tensor of floats"):
        read_state_dict(path)
    array = tmp_path / "weights.npy"
    np.save(array, np.zeros((2, 3), np.float32))
    with pytest.raises(CheckpointError, match=r"one array of float32 \[2, 3\]"):
        read_state_dict(array)
    np.save(array, np.array({"weights": {}}, dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError, match="no JAX parameters"):
        read_state_dict(array)
