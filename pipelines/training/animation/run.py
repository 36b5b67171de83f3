"""A training run of one of the animation models, from a dataset to saved weights."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.animation.solver import fast_solver
from pipelines.training.animation.clips import check_dataset
from pipelines.training.animation.config import RunConfig
from pipelines.training.animation.frames import FrameStore
from pipelines.training.animation.index import ClipIndex, Selection, select_clips
from pipelines.training.animation.kinds import Kind
from pipelines.training.animation.loader import Batch, ClipReader, batches, stack
from pipelines.training.animation.recorder import Recorder
from pipelines.training.animation.trainer import Trainer
from pipelines.training.checkpoint import CHECKPOINT, checkpoint_exists, load_state
from pipelines.training.log import Figures
from pipelines.training.ranks import Ranks
from trajectories import Dataset, DatasetError, open_dataset
from trajectories.schema import CLIPS_PER_ROW_GROUP

MODEL = "model"
"""Folder of the averaged weights in that of a run."""
RECORD = "training.json"
"""In the folder of a model: how it was trained."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """A dataset, those of its clips that are used, and their frames."""

    dataset: Dataset
    selection: Selection
    store: FrameStore

    def reader(self, index: ClipIndex, config: RunConfig) -> ClipReader:
        """Reads clips of this data."""
        groups = -(-config.data.buffer_clips // CLIPS_PER_ROW_GROUP)
        return ClipReader(self.dataset, index, self.store, config.shape, groups)


def open_data(root: str, config: RunConfig, frames: Path) -> TrainingData:
    """The clips that a configuration asks for. Raises DatasetError, QueryError."""
    dataset = open_dataset(root)
    check_dataset(dataset, config.shape)
    return TrainingData(dataset, select_clips(dataset, config.data), FrameStore(frames))


def with_frames(data: TrainingData) -> TrainingData:
    """Without the clips that have no frames. Raises DatasetError where none is left."""
    absent = {
        identity
        for index in (data.selection.train, data.selection.validation)
        for identity in map(bytes.decode, index.ids.tolist())
        if not data.store.has(identity)
    }
    selection = data.selection.without(absent)
    if not len(selection.train):
        raise DatasetError(
            f"{data.dataset.root}: the frames of no clip to train on can be read: bring the videos "
            "back to where they were extracted from"
        )
    return dataclasses.replace(data, selection=selection)


def train(
    kind: Kind,
    config: RunConfig,
    data: TrainingData,
    folder: Path,
    *,
    resume: bool = False,
    device: str = "cpu",
    readers: int = 0,
    ranks: Ranks | None = None,
    report: Callable[[Figures], None] | None = None,
    notice: Callable[[str], None] = print,
    stop: Callable[[], bool] = lambda: False,
) -> Trainer:
    """Trains to the last step of the configuration, or until ``stop``; leaves all in ``folder``.

    resume: go on from the checkpoint in ``folder``, where there is one. readers: processes that
    read clips ahead. ranks: this process's place among those that train together; the first writes
    files. report: takes the figures of every step. notice: takes lines for people. stop: asked
    after every step; in the first process.

    Raises ValueError for a checkpoint that is damaged, of another model, or in the way.
    """
    ranks = ranks or Ranks()
    torch.manual_seed(config.optim.seed)
    trainer = Trainer(kind.objective(config), config.optim, device, ranks)
    reader = data.reader(data.selection.train, config)
    recorder = None
    if ranks.first:
        _restore(trainer, folder / CHECKPOINT, resume)
        recorder = _recorder(kind, config, data, trainer, folder, notice)
    if ranks.world > 1:
        trainer.restore(ranks.share(trainer.state()))
    stream = batches(
        reader,
        kind.pick,
        config.augment,
        batch_size=config.optim.batch_size,
        first_step=trainer.step,
        steps=config.optim.steps,
        seed=config.optim.seed,
        readers=readers,
        ranks=ranks,
        pin=trainer.device.type == "cuda",
    )
    began = time.perf_counter()
    for batch in stream:
        waited = time.perf_counter() - began
        figures = trainer.train_step(batch)
        ending = False
        if recorder is not None:
            figures["epoch"] = trainer.step * config.optim.batch_size / len(reader)
            figures["seconds"], figures["waited"] = time.perf_counter() - began, waited
            ending = stop()
            recorder.after_step(figures, ending)
            if report is not None:
                report(figures)
        if ranks.share(ending):
            break
        began = time.perf_counter()
    if recorder is not None:
        recorder.close()
        save_model(trainer, kind, config, folder / MODEL)
    return trainer


def save_model(trainer: Trainer, kind: Kind, config: RunConfig, folder: Path) -> None:
    """The averaged weights as diffusers saves models, the schedule of noise, and the settings."""
    trainer.ema_model().save_pretrained(folder)
    trainer.objective.scheduler.save_pretrained(folder)
    record = {"kind": kind.name, "step": trainer.step, "config": dataclasses.asdict(config)}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def read_record(folder: Path) -> dict[str, Any]:
    """How a saved model was trained. Raises ValueError where the folder does not say."""
    path = folder / RECORD
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        return {"kind": record["kind"], "step": record["step"], "config": record["config"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is missing or damaged: give the folder {MODEL} of a training run, or its "
            "configuration"
        ) from error


def check_checkpoint(kind: Kind, config: RunConfig, folder: Path, resume: bool) -> None:
    """What is wrong with the checkpoint in a folder, said before a group of processes starts.

    Raises ValueError as `train` does.
    """
    _restore(Trainer(kind.objective(config), config.optim), folder / CHECKPOINT, resume)


def _restore(trainer: Trainer, checkpoint: Path, resume: bool) -> None:
    if not checkpoint_exists(checkpoint):
        return
    if not resume:
        raise ValueError(
            f"{checkpoint} is in the way: resume that run with --resume, or train into another "
            "folder"
        )
    try:
        trainer.restore(load_state(checkpoint))
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"{checkpoint} is a checkpoint of another model than the configuration describes: "
            "train into another folder, or with its configuration"
        ) from error


def _recorder(
    kind: Kind,
    config: RunConfig,
    data: TrainingData,
    trainer: Trainer,
    folder: Path,
    notice: Callable[[str], None],
) -> Recorder:
    watch, held_out = config.watch, data.selection.validation
    if not len(held_out):
        notice("no clip is held out: nothing is validated, and there are no pictures")
        return Recorder(trainer, folder, watch, [], None, notice)
    scored = data.reader(held_out.spread(watch.validation_clips), config)
    shown = data.reader(held_out.spread(watch.picture_clips), config)
    examples = [shown.example(clip) for clip in range(len(shown))]
    return Recorder(
        trainer,
        folder,
        watch,
        _held_out(kind, config, scored),
        lambda model: kind.picture(
            model, fast_solver(trainer.objective.scheduler), examples, config
        ),
        notice,
    )


def _held_out(kind: Kind, config: RunConfig, reader: ClipReader) -> list[Batch]:
    """Held-out clips as they are, in batches of at most those of the training."""
    examples = []
    for clip in range(len(reader)):
        times = kind.pick(np.random.default_rng(clip), config.num_frames)
        examples.append(reader.example(clip, times))
    size = config.optim.batch_size
    return [stack(examples[k : k + size]) for k in range(0, len(examples), size)]
