"""Training state on disk: written under a temporary name, then renamed, whole or in parts."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

CHECKPOINT = "checkpoint.pt"
_HEADER = 256  # bytes at the start of each part: JSON, padded


@dataclass
class TrainState:
    """All that a run needs to continue exactly where it stopped."""

    step: int
    model: dict[str, Any]
    ema: dict[str, torch.Tensor]
    optimizer: dict[str, Any]


def save_state(path: Path, state: TrainState, part_bytes: int | None = None) -> None:
    """All of the checkpoint or none of it. Raises OSError naming it when the disk refuses.

    With ``part_bytes`` a larger checkpoint becomes files ``<path>.1-of-4`` and so on, none
    larger than that; `load_state` and `checkpoint_exists` take the path without the suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    try:
        if part_bytes is None:
            torch.save(vars(state), temporary)
            os.replace(temporary, path)
            keep: set[Path] = {path}
        else:
            buffer = io.BytesIO()
            torch.save(vars(state), buffer)
            keep = _write_parts(path, buffer.getbuffer(), part_bytes, temporary)
        for other in {path, *_parts(path)} - keep:
            other.unlink(missing_ok=True)
    except RuntimeError as error:  # torch's own writer does not tell why
        raise OSError(f"{path} cannot be written: {error}; free some space") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def load_state(path: Path) -> TrainState:
    """The checkpoint written as `path`, whole or in parts.

    Raises ValueError naming the file where it is no training state, or a part is missing.
    """
    try:
        source: Path | BinaryIO = path if path.exists() else io.BytesIO(_join(path))
        values = torch.load(source, map_location="cpu", weights_only=True)
        return TrainState(**values)
    except (
        *(EOFError, KeyError, RuntimeError, TypeError, ValueError),
        pickle.UnpicklingError,
    ) as error:
        raise ValueError(
            f"{path} is not a training checkpoint, or damaged ({type(error).__name__}): restore "
            "or remove it"
        ) from error


def checkpoint_exists(path: Path) -> bool:
    """Whether there is one at `path`, whole or in parts."""
    return path.exists() or bool(_parts(path))


def _parts(path: Path) -> list[Path]:
    pattern = re.compile(re.escape(path.name) + r"\.\d+-of-\d+")
    if not path.parent.is_dir():
        return []
    return sorted(other for other in path.parent.iterdir() if pattern.fullmatch(other.name))


def _write_parts(path: Path, data: memoryview, part_bytes: int, temporary: Path) -> set[Path]:
    room = part_bytes - _HEADER
    if room < 1:
        raise ValueError(f"parts of {part_bytes} bytes are too small for a checkpoint")
    count = max(1, -(-len(data) // room))
    names = [path.with_name(f"{path.name}.{number}-of-{count}") for number in range(1, count + 1)]
    header = json.dumps({"parts": count, "sha256": hashlib.sha256(data).hexdigest()}).encode()
    # Written aside, so that the time in which parts of two checkpoints lie together is a blink.
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for index, name in enumerate(names):
        with (temporary / name.name).open("wb") as file:
            file.write(header.ljust(_HEADER))
            file.write(data[index * room : (index + 1) * room])
    for name in names:
        os.replace(temporary / name.name, name)
    return set(names)


def _join(path: Path) -> bytes:
    """Raises ValueError where the parts are not those of one checkpoint."""
    parts = _parts(path)
    if not parts:
        raise ValueError("there is no such file")
    headers, pieces = zip(*_read_parts(parts), strict=True)
    first = headers[0]
    data = b"".join(pieces)
    if any(header != first for header in headers) or len(parts) != first["parts"]:
        raise ValueError("parts are missing, or of several checkpoints")
    if hashlib.sha256(data).hexdigest() != first["sha256"]:
        raise ValueError("a part is damaged")
    return data


def _read_parts(parts: list[Path]) -> Iterator[tuple[dict[str, Any], bytes]]:
    # By number: "10-of-12" comes before "2-of-12" in the alphabet.
    for part in sorted(parts, key=lambda part: int(re.findall(r"\d+", part.name)[-2])):
        with part.open("rb") as file:
            yield json.loads(file.read(_HEADER)), file.read()
