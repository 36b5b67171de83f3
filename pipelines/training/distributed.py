"""The same training on several processes of one machine or a cluster, through Ray Train.

Each rank holds the whole network and takes its part of every batch; gradients are averaged. The
first rank writes the output folder, from which all go on after a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.synthetic import TextureBank
from pipelines.training.config import TrainConfig
from pipelines.training.log import Figures
from pipelines.training.rank_group import rank_device, run_ranks
from pipelines.training.ranks import Ranks
from pipelines.training.real import RealClips
from pipelines.training.tracker import prepare, real_sides, train
from pipelines.training.trainer import Trainer


def train_on_ranks(
    config: TrainConfig,
    textures: TextureBank,
    held_out: TextureBank,
    folder: Path,
    *,
    count: int,
    address: str | None = None,
    start: Path | None = None,
    resume: Path | None = None,
    real: RealClips | None = None,
    teacher: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
    restarts: int = 3,
    report: Callable[[Figures], None] | None = None,
) -> None:
    """As `pipelines.training.tracker.train`, by `count` processes, one GPU each on ``cuda``.

    On a cluster `folder`, and the files named, must be the same ones on all its machines, and
    tapirus must be installed there.

    Args:
        address: "host:port" of a running Ray cluster; by default this machine.
        restarts: how often ranks that died are started again from the last checkpoint.

    Raises:
        ValueError: as `train` does; and a batch that does not divide among the ranks, too few
            GPUs, or Ray Train that is not installed.
        ChildProcessError: ranks died more often than `restarts`.
    """
    Ranks(0, count).rows(config.batch_size)
    # What is wrong with the files is said here, in one line, and not by every rank.
    prepare(Trainer(config, teacher=teacher), folder, start=start, resume=resume)
    real_sides(config, real)
    folder = folder.resolve()

    def settings() -> dict[str, Any]:
        import ray

        return {
            "config": config,
            "data": ray.put((textures, held_out, real)),
            "folder": folder,
            "start": None if start is None else start.resolve(),
            "resume": None if resume is None else resume.resolve(),
            "teacher": None if teacher is None else teacher.resolve(),
            "device": device,
            "workers": workers,
        }

    run_ranks(
        _rank,
        settings,
        folder,
        count=count,
        address=address,
        device=device,
        restarts=restarts,
        report=report,
    )


def _rank(settings: dict[str, Any]) -> None:
    """What each process does."""
    import ray

    textures, held_out, real = ray.get(settings["data"])
    train(
        settings["config"],
        textures,
        held_out,
        settings["folder"],
        start=settings["start"],
        resume=settings["resume"],
        real=real,
        teacher=settings["teacher"],
        device=rank_device(settings["device"]),
        workers=settings["workers"],
        ranks=Ranks.joined(),
    )
