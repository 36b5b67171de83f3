"""Our own weight files: safetensors that carry the network's configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from models.checkpoints.errors import CheckpointError, one_line
from models.checkpoints.read import check_readable
from models.tapir.config import TapirConfig

_METADATA_KEY = "tapirus.config"


def save_checkpoint(
    path: str | Path, state_dict: Mapping[str, Tensor], config: TapirConfig
) -> None:
    """Write a safetensors file that :func:`models.checkpoints.load_network` needs no hint for.

    Tensors keep their type. Written under a temporary name, then renamed.
    """
    from safetensors.torch import save_file

    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    try:
        save_file(tensors, temporary, metadata={_METADATA_KEY: json.dumps(asdict(config))})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_config(path: str | Path) -> TapirConfig | None:
    """The configuration a file carries; None for every other kind of weight file.

    Raises:
        CheckpointError: it carries one that this version does not understand.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        return None
    from safetensors import SafetensorError, safe_open

    check_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: truncated, damaged or not a .safetensors file ({one_line(error)}); "
            "fetch it again"
        ) from None
    if text is None:
        return None
    try:
        return _parse(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: its configuration is not one this version knows ({one_line(error)}); "
            "update tapirus or save the weights again"
        ) from None


def _parse(values: Any) -> TapirConfig:
    defaults = {field.name: field.default for field in fields(TapirConfig)}
    if not isinstance(values, dict):
        raise TypeError("not an object")
    unknown = sorted(set(values) - set(defaults))
    if unknown:
        raise ValueError(f"unknown entry {unknown[0]!r}")
    return TapirConfig(**{key: _convert(key, v, defaults[key]) for key, v in values.items()})


def _convert(key: str, value: Any, default: Any) -> Any:
    """``value`` as the type of ``default``, or an error: JSON knows neither tuples nor 20.0."""
    if isinstance(default, tuple) and isinstance(value, list) and len(value) == len(default):
        return tuple(_convert(key, item, default[0]) for item in value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise TypeError(f"entry {key!r} is {value!r:.40}")
    return value
