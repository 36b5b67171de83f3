"""A network with its weights, from a name or a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints.cache import fetch_checkpoint
from models.checkpoints.digest import sha256_of
from models.checkpoints.errors import CheckpointError
from models.checkpoints.infer import check_shapes, config_for
from models.checkpoints.progress import Progress
from models.checkpoints.read import check_readable, read_state_dict
from models.checkpoints.registry import DEFAULT_NAME, name_from_file
from models.checkpoints.store import read_config
from models.tapir import CONFIGS, Tapir, TapirConfig

_DIGITS = 16


def load_network(
    name: str = DEFAULT_NAME,
    checkpoint: str | Path | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[Tapir, str]:
    """A network in float32 on the CPU, ready for inference, and the digest of its file.

    Args:
        name: ``tapir-mini``, whose weights come with the package, or a published
            configuration, whose file is taken from the cache or downloaded.
        checkpoint: a weight file instead. It tells itself what it is, by what it carries,
            its published file name or its shapes; a ``name`` other than the default must
            agree with that.
        progress: called with bytes so far and in total during a download.

    Returns:
        The network, and the first 16 hex digits of the file's SHA-256.

    Raises:
        CheckpointError: unknown name; or the file is missing, damaged or of another network.
    """
    if name not in CONFIGS:
        raise CheckpointError(f"unknown tracker {name!r}: choose one of {', '.join(CONFIGS)}")
    if checkpoint is not None:
        path = Path(checkpoint)
        check_readable(path)
        # The default does not speak about a file that somebody chose.
        wanted = None if name == DEFAULT_NAME else name
        return load_file(path, wanted), sha256_of(path)[:_DIGITS]
    if name != DEFAULT_NAME:
        path, digest = fetch_checkpoint(name, progress)
        return load_file(path, name), digest[:_DIGITS]
    with _bundled(f"{name}.safetensors") as path:
        return load_file(path, name), sha256_of(path)[:_DIGITS]


def load_file(path: Path, name: str | None = None) -> Tapir:
    """The network of one weight file; ``name`` where the file alone does not tell.

    Raises:
        CheckpointError: the file is missing, damaged or of another network.
    """
    carried = read_config(path)
    state = read_state_dict(path)
    try:
        config = _config(state, carried, name, path)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return build_network(state, config)


def build_network(state_dict: Mapping[str, Tensor], config: TapirConfig) -> Tapir:
    """A network in evaluation mode that owns float32 copies of, or the very, given tensors."""
    with torch.device("meta"):  # no time and memory for initial values that are replaced
        network = Tapir(config)
    tensors = {key: tensor.float().contiguous() for key, tensor in state_dict.items()}
    network.load_state_dict(tensors, assign=True)
    return network.eval()


def _config(
    state: Mapping[str, Tensor], carried: TapirConfig | None, name: str | None, path: Path
) -> TapirConfig:
    if carried is None:
        return config_for(state, name or name_from_file(path))
    if name is not None and name != carried.name:
        raise CheckpointError(f"weights of {carried.name}, not of {name}: leave the name out")
    check_shapes(state, carried)
    return carried


@contextmanager
def _bundled(file_name: str) -> Iterator[Path]:
    resource = resources.files("models") / "weights" / file_name
    if not resource.is_file():
        raise CheckpointError(
            f"{resource}: the bundled weights are missing; install tapirus again, "
            "or pass --checkpoint FILE"
        )
    with resources.as_file(resource) as path:
        yield path
