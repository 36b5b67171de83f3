"""Weight files to state dicts, read so that a hostile file can do no harm."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from models.checkpoints import jax_names, restricted_pickle
from models.checkpoints.errors import CheckpointError, one_line

_SUFFIXES = ".safetensors, .pt, .pth or .npy"
_FETCH_AGAIN = "fetch it again"


def check_readable(path: Path) -> None:
    """Refuse at once what is no weight file: missing, empty, a folder, a web page.

    Raises:
        CheckpointError: with the reason.
    """
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; give a weight file ({_SUFFIXES})")
    try:
        with path.open("rb") as file:
            head = file.read(256).lstrip().lower()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    if not head:
        raise CheckpointError(f"{path}: empty; {_FETCH_AGAIN}")
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise CheckpointError(f"{path}: a web page, not weights; {_FETCH_AGAIN} from its own URL")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path}: a Git LFS pointer, not weights; run `git lfs pull`")


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Tensors by torch name, on the CPU, from any format the networks are published in.

    ``.pt`` and ``.pth``: a flat state dict written by ``torch.save``. ``.safetensors``.
    ``.npy``: the pickled JAX parameters, renamed and laid out for torch.

    Raises:
        CheckpointError: missing, damaged, of another kind, or asking for anything beyond
            plain tensors; nothing in the file has been executed.
    """
    path = Path(path)
    check_readable(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise CheckpointError(f"{path}: unknown kind of file; weights are {_SUFFIXES}")
    try:
        state = read(path)
        _check_tensors(state, path.stat().st_size)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except Exception as error:  # parsers of foreign bytes raise nearly anything
        raise CheckpointError(
            f"{path}: truncated, damaged or not a {path.suffix} file "
            f"({one_line(error)}); {_FETCH_AGAIN}"
        ) from error
    return state


def _check_tensors(state: Any, file_bytes: int) -> None:
    if not isinstance(state, Mapping):
        raise CheckpointError(f"holds a {type(state).__name__}, not a state dict")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise CheckpointError(
                f"entry {name!r} is a {type(tensor).__name__}, not a tensor; "
                "save the flat state dict alone"
            )
        if tensor.layout != torch.strided or not tensor.is_floating_point():
            raise CheckpointError(f"tensor {name!r} is not a dense tensor of floats")
    # Strides of zero let a small file describe more than any memory holds.
    if sum(t.numel() * t.element_size() for t in state.values()) > file_bytes:
        raise CheckpointError("describes more data than the file has")


def _read_torch(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile:
        raise CheckpointError(f"truncated, or not written by torch.save; {_FETCH_AGAIN}") from None
    # torch.save never compresses; a small compressed file may unfold to any size.
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError("refused: a compressed archive, which torch.save never writes")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        wanted = str(error).partition("GLOBAL ")[2].split()
        if not wanted:
            raise
        raise CheckpointError(
            f"refused: it asks for {wanted[0]}, which weights never need; it may be hostile"
        ) from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _read_jax(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        tree = _read_object_array(file, path.stat().st_size)
    params = tree.get("params") if isinstance(tree, dict) else None
    if not isinstance(params, dict) or not params:
        raise CheckpointError("holds no JAX parameters (a dict with the entry 'params')")
    numeric: dict[str, dict[str, np.ndarray]] = {}
    for module, parameters in params.items():
        if not isinstance(module, str) or not isinstance(parameters, dict):
            raise CheckpointError(f"entry {module!r} of 'params' is not a module's parameters")
        for name, array in parameters.items():
            if not isinstance(array, restricted_pickle.Array):
                raise CheckpointError(f"parameter {module}:{name} is not an array")
            numeric.setdefault(module, {})[str(name)] = array.numeric()
    state = jax_names.torch_state(numeric)
    return {name: torch.from_numpy(array) for name, array in state.items()}


def _read_object_array(file: IO[bytes], size: int) -> Any:
    """The one object of an array of objects, as ``numpy.save`` writes a dict."""
    version = np.lib.format.read_magic(file)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        raise CheckpointError(f"numpy format {version} is not what numpy.save writes for a dict")
    shape, _, dtype = headers[version](file)  # refuses headers above 10 kB
    if dtype != np.dtype(object) or shape != ():
        raise CheckpointError(
            f"one array of {dtype} {list(shape)}, not the parameters of a network"
        )
    array = restricted_pickle.load(file, size - file.tell())
    if not isinstance(array, restricted_pickle.Array):
        raise CheckpointError("its pickle is not that of an array")
    return array.single_object()


_READERS: dict[str, Callable[[Path], Any]] = {
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".safetensors": _read_safetensors,
    ".npy": _read_jax,
}
