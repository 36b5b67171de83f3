"""What a run leaves in its folder while it goes: log, curves, checkpoints."""

from __future__ import annotations

import time
from pathlib import Path

from pipelines.synthetic import TextureBank
from pipelines.training.checkpoint import CHECKPOINT, save_state
from pipelines.training.curves import CURVES, write_curves
from pipelines.training.log import LOG, Figures, append, forget_after
from pipelines.training.real import RealClips
from pipelines.training.trainer import Trainer
from pipelines.training.validation import (
    validate,
    validate_real,
    validation_clips,
    validation_views,
)


class Recorder:
    """Validates, logs, draws and saves after a step, as far as each of them is due."""

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        held_out: TextureBank,
        real: RealClips | None,
        part_bytes: int | None,
    ) -> None:
        self.trainer, self.folder, self.part_bytes = trainer, folder, part_bytes
        config = trainer.config
        folder.mkdir(parents=True, exist_ok=True)
        forget_after(folder / LOG, trainer.step)
        self._clips = validation_clips(config, held_out, config.size)
        self._views = [] if real is None else validation_views(config, real)
        self._saved = time.monotonic()

    def after_step(self, figures: Figures, ending: bool) -> None:
        """`ending`: the run stops here, before its last step. Adds scores to `figures`."""
        config, step = self.trainer.config, self.trainer.step
        last = step == config.steps
        if step % config.validate_every == 0 or last:
            figures |= self._scores()
        append(self.folder / LOG, figures)
        if "val_aj" in figures:
            write_curves(self.folder / CURVES, [self.folder])
        waiting = (time.monotonic() - self._saved) / 60
        late = 0 < config.checkpoint_minutes <= waiting
        if step % config.checkpoint_every == 0 or late or last or ending:
            save_state(self.folder / CHECKPOINT, self.trainer.state(), self.part_bytes)
            self._saved = time.monotonic()

    def _scores(self) -> Figures:
        config = self.trainer.config
        network = self.trainer.ema_network(config.size)
        metrics = validate(network, self._clips, config.bf16)
        scores = {
            "val_aj": metrics.average_jaccard,
            "val_delta": metrics.average_pts_within,
            "val_oa": metrics.occlusion_accuracy,
        }
        if self._views:
            scores["val_cycle"] = validate_real(network, self._views, config.bf16)
        return scores
