"""What a run leaves in its folder while it goes: log, curves, pictures, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.render import save_image
from pipelines.training.animation.config import WatchConfig
from pipelines.training.animation.loader import Batch
from pipelines.training.animation.trainer import Trainer
from pipelines.training.chart import COLOURS, Chart, Series, draw_charts
from pipelines.training.checkpoint import CHECKPOINT, save_state
from pipelines.training.curves import CURVES, smoothed
from pipelines.training.log import LOG, Figures, append, forget_after, read_log

if TYPE_CHECKING:
    from jaxtyping import UInt8

_FOLDER = "samples"
_SMOOTH = 60  # parts of a run that its losses are averaged over

Picture = Callable[[Any], "UInt8[np.ndarray, 'h w 3']"]
"""From a model with averaged weights to a picture of what it does."""


class Recorder:
    """Validates, logs, draws and saves after a step, as far as each of them is due."""

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        config: WatchConfig,
        held_out: list[Batch],
        picture: Picture | None,
        notice: Callable[[str], None],
    ) -> None:
        """notice: takes lines for people."""
        self.trainer, self.folder, self.config = trainer, folder, config
        self._held_out, self._picture = held_out, picture
        folder.mkdir(parents=True, exist_ok=True)
        forget_after(folder / LOG, trainer.step)
        self._board = _tensorboard(folder, trainer.step, notice)
        self._saved = time.monotonic()

    def after_step(self, figures: Figures, ending: bool) -> None:
        """`ending`: the run stops here, before its last step. Adds scores to `figures`."""
        config, step = self.config, self.trainer.step
        last = step == self.trainer.config.steps
        due = step % config.validate_every == 0 or last
        if due and self._held_out:
            figures |= self.trainer.validate(self._held_out)
        append(self.folder / LOG, figures)
        for name, value in figures.items():
            if self._board is not None and name != "step":
                self._board.add_scalar(name, value, step)
        if due or ending:
            write_loss_curves(self.folder)
        if self._picture is not None and (step % config.picture_every == 0 or last):
            self._draw(step)
        waiting = (time.monotonic() - self._saved) / 60
        late = waiting >= config.checkpoint_minutes
        if step % config.checkpoint_every == 0 or late or last or ending:
            save_state(self.folder / CHECKPOINT, self.trainer.state())
            self._saved = time.monotonic()

    def close(self) -> None:
        """What TensorBoard has not written yet is written."""
        if self._board is not None:
            self._board.close()

    def _draw(self, step: int) -> None:
        assert self._picture is not None
        (self.folder / _FOLDER).mkdir(exist_ok=True)
        image = self._picture(self.trainer.ema_sampler())
        save_image(self.folder / _FOLDER / f"step-{step:07d}.jpg", image)
        if self._board is not None:
            self._board.add_image("samples", image, step, dataformats="HWC")


def write_loss_curves(folder: Path) -> None:
    """Draws the log in `folder` as curves.png: losses on training and held-out clips."""
    log = read_log(folder)
    names = [name for name in log[-1] if f"val_{name}" in _known(log)] or ["loss"]
    charts = []
    for name in names:
        steps, values = _values(log, name)
        width = max(1, len(values) // _SMOOTH)
        series = [
            Series(steps, values, COLOURS[0], faint=True),
            Series(steps, smoothed(values, width), COLOURS[0], label="training"),
        ]
        held_out = _values(log, f"val_{name}")
        if len(held_out[0]):
            series.append(Series(*held_out, COLOURS[1], label="held out, averaged weights"))
        charts.append(Chart(name, series, logarithmic=bool((values > 0).all()), height=240))
    charts.append(Chart("learning rate", [Series(*_values(log, "lr"), COLOURS[0])], height=120))
    save_image(folder / CURVES, draw_charts(charts, "step"))


def _known(log: list[Figures]) -> set[str]:
    return {name for line in log for name in line}


def _values(log: list[Figures], name: str) -> tuple[np.ndarray, np.ndarray]:
    found = [(line["step"], line[name]) for line in log if name in line]
    steps, values = np.array(found, float).reshape(-1, 2).T
    return steps, values


def _tensorboard(folder: Path, step: int, notice: Callable[[str], None]) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        notice("tensorboardX is not installed: figures go to log.jsonl and curves.png only")
        return None
    # Lines of steps that a stopped run had done after its last checkpoint are hidden.
    return SummaryWriter(str(folder), purge_step=step + 1)
