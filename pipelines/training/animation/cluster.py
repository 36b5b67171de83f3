"""One run on several processes, on this machine or on a Ray cluster, through Ray Train."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.training.animation.config import RunConfig
from pipelines.training.animation.kinds import Kind
from pipelines.training.animation.registry import kind_of
from pipelines.training.animation.run import (
    TrainingData,
    check_checkpoint,
    open_data,
    train,
    with_frames,
)
from pipelines.training.log import Figures
from pipelines.training.rank_group import rank_device, run_ranks
from pipelines.training.ranks import Ranks
from pipelines.training.run import Deadline
from pipelines.training.settings import settings_from


def train_on_workers(
    kind: Kind,
    config: RunConfig,
    data: TrainingData,
    folder: Path,
    *,
    workers: int,
    resume: bool = False,
    device: str = "cpu",
    readers: int = 0,
    minutes: float | None = None,
    address: str | None = None,
    report: Callable[[Figures], None] | None = None,
) -> None:
    """As `run.train`, with the steps of each batch shared by ``workers`` processes.

    Dataset, frames and output must be where all of them can reach them. Workers that die are
    started again, from the last checkpoint.

    Raises ValueError where a batch does not divide among the workers or a checkpoint is in the way;
    more as `rank_group.run_ranks`.
    """
    if config.optim.batch_size % workers:
        raise ValueError(
            f"optim.batch_size is {config.optim.batch_size}: must be a multiple of the {workers} "
            "workers"
        )
    check_checkpoint(kind, config, folder, resume)
    root = data.dataset.root
    settings = {
        "kind": kind.name,
        "config": json.loads(json.dumps(dataclasses.asdict(config))),
        "data": root,
        "frames": str(data.store.root.resolve()),
        "folder": str(folder.resolve()),
        "device": device,
        "readers": readers,
        "minutes": minutes,
    }
    run_ranks(
        _rank,
        lambda: settings,
        folder.resolve(),
        count=workers,
        address=address,
        device=device,
        report=report,
    )


def _rank(settings: dict[str, Any]) -> None:
    """What each process does."""
    kind = kind_of(settings["kind"])
    config = settings_from(kind.config, settings["config"])
    data = with_frames(open_data(settings["data"], config, Path(settings["frames"])))
    train(
        kind,
        config,
        data,
        Path(settings["folder"]),
        # Whoever started the group has seen that a checkpoint is there on purpose.
        resume=True,
        device=rank_device(settings["device"]),
        readers=settings["readers"],
        ranks=Ranks.joined(),
        stop=Deadline(settings["minutes"]),
    )
