"""Curves of training runs as a picture: losses, scores on held-out clips, learning rate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pipelines.training.chart import COLOURS, Chart, Series, draw_charts
from pipelines.training.log import Figures, read_log

if TYPE_CHECKING:
    from jaxtyping import UInt8

CURVES = "curves.png"
_SMOOTH = 60  # parts of a run that a loss is averaged over, of this many steps at least
_SMOOTH_STEPS = 24


@dataclass(frozen=True)
class Run:
    """The log of a run, under a name."""

    name: str
    figures: Sequence[Figures]

    def values(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of the lines that have the key."""
        found = [(line["step"], line[key]) for line in self.figures if key in line]
        steps, values = np.array(found, float).reshape(-1, 2).T
        return steps, values

    def losses(self, key: str, *, real: bool) -> tuple[np.ndarray, np.ndarray]:
        """The same of the steps on real clips, or of all others."""
        chosen = [line for line in self.figures if ("real" in line) == real]
        return Run(self.name, chosen).values(key)


def write_curves(path: Path, logs: Sequence[Path], *, overlay: bool = False) -> None:
    """Draw runs into an image file, all of it or none. Raises ValueError naming a missing log."""
    runs = [Run(_name(log), read_log(log)) for log in logs]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        Image.fromarray(draw_curves(runs, overlay=overlay)).save(temporary, format="PNG")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def draw_curves(runs: Sequence[Run], *, overlay: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """RGB picture of the runs one after the other, as stages, or in the same axes.

    Raises ValueError where no run has a step.
    """
    runs = [run for run in runs if run.figures]
    if not runs:
        raise ValueError("there is no training step to draw yet")
    if overlay and len(runs) > 1:
        return draw_charts(_overlaid(runs), "step")
    starts = _starts(runs)
    marks = [
        (start + run.figures[0]["step"] - 1, run.name)
        for start, run in zip(starts, runs, strict=True)
    ]
    return draw_charts(_in_turn(runs, starts), "step", marks if len(runs) > 1 else [])


def smoothed(values: np.ndarray, width: int) -> np.ndarray:
    """Mean over `width` values around each, over fewer at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low = np.maximum(index - width // 2, 0)
    high = np.minimum(index + (width + 1) // 2, len(values))
    return (sums[high] - sums[low]) / np.maximum(high - low, 1)


def _starts(runs: Sequence[Run]) -> np.ndarray:
    """Where each run begins: after the one before, unless it goes on with that one's steps."""
    starts = [0.0]
    for before, run in pairwise(runs):
        new = run.figures[0]["step"] <= 1
        starts.append(starts[-1] + (before.figures[-1]["step"] if new else 0.0))
    return np.array(starts)


def _name(log: Path) -> str:
    return log.resolve().name if log.is_dir() else log.resolve().parent.name


def _in_turn(runs: Sequence[Run], starts: np.ndarray) -> list[Chart]:
    loss: list[Series] = []
    wanted = [("initialisation", "loss_initial", False), ("last iteration", "loss_final", False)]
    wanted.append(("last iteration, real clips", "loss_final", True))
    for colour, (label, key, real) in zip(COLOURS, wanted, strict=False):
        loss += _joined(
            [run.losses(key, real=real) for run in runs], starts, label, colour, noisy=True
        )
    held_out: list[Series] = []
    scores = [
        ("AJ", "val_aj"),
        ("delta", "val_delta"),
        ("OA", "val_oa"),
        ("real, cycle", "val_cycle"),
    ]
    for colour, (label, key) in zip(COLOURS, scores, strict=False):
        held_out += _joined([_percent(run, key) for run in runs], starts, label, colour)
    rate = _joined([run.values("lr") for run in runs], starts, "", COLOURS[0])
    charts = [
        Chart("training loss", loss, logarithmic=True, height=320),
        Chart("held-out clips, %", held_out, height=280),
        Chart("learning rate", rate, height=120),
    ]
    return [chart for chart in charts if chart.series]


def _overlaid(runs: Sequence[Run]) -> list[Chart]:
    def every(key: str, percent: bool) -> list[Series]:
        found: list[Series] = []
        for index, run in enumerate(runs):
            values = _percent(run, key) if percent else run.losses(key, real=False)
            colour = COLOURS[index % len(COLOURS)]
            found += _joined([values], np.zeros(1), run.name, colour, noisy=not percent)
        return found

    charts = [
        Chart("training loss, last iteration", every("loss_final", False), logarithmic=True),
        Chart("held-out AJ, %", every("val_aj", True)),
        Chart("held-out delta, %", every("val_delta", True)),
        Chart("held-out OA, %", every("val_oa", True)),
    ]
    return [chart for chart in charts if chart.series]


def _percent(run: Run, key: str) -> tuple[np.ndarray, np.ndarray]:
    steps, values = run.values(key)
    return steps, 100 * values


def _joined(
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    starts: np.ndarray,
    label: str,
    colour: tuple[int, int, int],
    *,
    noisy: bool = False,
) -> list[Series]:
    """One series for each run, of which the last carries the label; faint raw values behind."""
    found: list[Series] = []
    for (steps, values), start in zip(parts, starts, strict=True):
        if not len(steps):
            continue
        if noisy:
            found.append(Series(steps + start, values, colour, faint=True))
            values = smoothed(values, max(_SMOOTH_STEPS, len(values) // _SMOOTH))
        found.append(Series(steps + start, values, colour))
    if found:
        last = found[-1]
        found[-1] = Series(last.x, last.y, colour, label=label)
    return found
