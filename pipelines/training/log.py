"""The log of a run: one JSON object a line, one line a step."""

from __future__ import annotations

import json
from pathlib import Path

LOG = "log.jsonl"

Figures = dict[str, float]


def read_log(path: Path) -> list[Figures]:
    """The lines in the order of their steps; one that a kill cut off is left out.

    `path` is a log or the folder of a run. Raises ValueError naming it where there is none.
    """
    file = path / LOG if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{file}: no such log; give the output folder of a training run")
    found = {int(record["step"]): record for record in map(_parse, _lines(file)) if record}
    return [found[step] for step in sorted(found)]


def append(path: Path, figures: Figures) -> None:
    """One more line."""
    with path.open("a") as file:
        file.write(json.dumps(figures) + "\n")


def forget_after(path: Path, step: int) -> None:
    """Drops the lines of steps that a stopped run had done after its last checkpoint."""
    if not path.exists():
        return
    kept = [line for line in _lines(path) if (record := _parse(line)) and record["step"] <= step]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(f"{line}\n" for line in kept))
    temporary.replace(path)


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()


def _parse(line: str) -> Figures | None:
    """None for the line that a kill cut off."""
    try:
        record: Figures = json.loads(line)
        float(record["step"])
    except (ValueError, KeyError, TypeError):
        return None
    return record
