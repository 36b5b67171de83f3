"""Train a TAPIR network on synthetic clips (paper sections 3.1 to 3.3 and 4), and on real ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from models.checkpoints import CheckpointError, read_state_dict
from pipelines.synthetic import TextureBank
from pipelines.training.checkpoint import CHECKPOINT, checkpoint_exists, load_state
from pipelines.training.config import TrainConfig
from pipelines.training.data import batches
from pipelines.training.log import Figures
from pipelines.training.ranks import Ranks
from pipelines.training.real import RealClips
from pipelines.training.recorder import Recorder
from pipelines.training.trainer import Trainer

T = TypeVar("T")


def train(
    config: TrainConfig,
    textures: TextureBank,
    held_out: TextureBank,
    folder: Path,
    *,
    start: Path | None = None,
    resume: Path | None = None,
    real: RealClips | None = None,
    teacher: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
    part_bytes: int | None = None,
    ranks: Ranks | None = None,
    report: Callable[[Figures], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Trainer:
    """Run to ``config.steps``; checkpoints, a log (a JSON object a line), curves in ``folder``.

    A checkpoint in ``folder``, or else the one given as ``resume``, is continued from its step.
    ``start`` names weights to begin a new schedule with, where there is no checkpoint: any file
    that `models.checkpoints.read_state_dict` reads, or the checkpoint of another run.

    Args:
        real: clips without truth, for the configuration's ``real_share`` of the steps.
        teacher: weight file of what tracks them; by default the averaged weights as they are.
        part_bytes: size of the checkpoint's files; by default it is one.
        ranks: this process's place among those that train together; the first writes files.
        report: called with the figures of every step.
        stop: asked after every step whether to end now, with a checkpoint; of one process only.

    Raises:
        ValueError: a checkpoint or weights that are damaged or of another network, naming the
            file; real clips that are missing or too few.
    """
    ranks = ranks or Ranks()
    trainer = Trainer(config, device, teacher=teacher, ranks=ranks)
    real_train, real_held_out = real_sides(config, real)
    recorder = None
    if ranks.first:
        prepare(trainer, folder, start=start, resume=resume)
        recorder = Recorder(trainer, folder, held_out, real_held_out, part_bytes)
    if ranks.world > 1:
        trainer.restore(ranks.share(trainer.state()))
    stream = batches(
        config,
        textures,
        first_step=trainer.step,
        workers=workers,
        real=real_train,
        ranks=ranks,
        pinned=trainer.device.type == "cuda",
    )
    for batch, waited, began in _timed(stream):
        figures = trainer.train_step(batch)
        if recorder is None:
            continue
        figures["seconds"] = time.perf_counter() - began
        figures["waited"] = waited
        ending = stop is not None and stop()
        recorder.after_step(figures, ending)
        if report is not None:
            report(figures)
        if ending:
            break
    return trainer


def prepare(
    trainer: Trainer, folder: Path, *, start: Path | None = None, resume: Path | None = None
) -> None:
    """Gives the trainer what it goes on from, or starts with, if anything.

    Raises ValueError naming the file that is damaged or of another network.
    """
    checkpoint = folder / CHECKPOINT if checkpoint_exists(folder / CHECKPOINT) else resume
    if checkpoint is not None:
        state = load_state(checkpoint)
        try:
            trainer.restore(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{checkpoint} is a checkpoint of another network than {trainer.config.model}: "
                "train into another folder, or with its configuration"
            ) from error
    elif start is not None:
        try:
            trainer.start_from(_weights(start))
        except CheckpointError as error:
            raise ValueError(f"{start} cannot start a {trainer.config.model}: {error}") from error


def _weights(path: Path) -> dict[str, torch.Tensor]:
    """Of a weight file, or the averaged ones of a training checkpoint."""
    if not path.exists() and checkpoint_exists(path):
        return load_state(path).ema
    try:
        return read_state_dict(path)
    except CheckpointError:
        try:
            return load_state(path).ema
        except ValueError:
            pass
        raise


def real_sides(
    config: TrainConfig, real: RealClips | None
) -> tuple[RealClips | None, RealClips | None]:
    """Clips to train on and held-out ones. Raises ValueError where some are missing."""
    if config.real_share and real is None:
        raise ValueError(
            f"real_share is {config.real_share}, but there are no real clips: give a file of them, "
            "or set it to 0"
        )
    return (None, None) if real is None else real.split(0.1)


def _timed(stream: Iterator[T]) -> Iterator[tuple[T, float, float]]:
    """Each item, the seconds that it was waited for, and the time at which the wait began."""
    while True:
        began = time.perf_counter()
        try:
            item = next(stream)
        except StopIteration:
            return
        yield item, time.perf_counter() - began, began
