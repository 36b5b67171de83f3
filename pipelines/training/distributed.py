"""The same training on several processes of one machine or a cluster, through Ray Train.

Each rank holds the whole network and takes its part of every batch; gradients are averaged. The
first rank writes the output folder, from which all go on after a failure.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pipelines.synthetic import TextureBank
from pipelines.training.config import TrainConfig
from pipelines.training.log import LOG, Figures
from pipelines.training.ranks import Ranks
from pipelines.training.real import RealClips
from pipelines.training.tracker import prepare, real_sides, train
from pipelines.training.trainer import Trainer

_POLL_SECONDS = 0.5


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
    ray_train = _ray_train()
    import ray

    from pipelines.extract.cluster import ray_cluster

    folder = folder.resolve()
    scratch = folder / ".ray"
    on_gpu = torch.device(device).type == "cuda"
    with ray_cluster(address) as cluster, _followed(folder / LOG, report):
        if on_gpu and cluster.gpus < count:
            raise ValueError(f"{count} ranks need a GPU each: Ray has {cluster.gpus:.0f}")
        settings = {
            "config": config,
            "data": ray.put((textures, held_out, real)),
            "folder": folder,
            "start": None if start is None else start.resolve(),
            "resume": None if resume is None else resume.resolve(),
            "teacher": None if teacher is None else teacher.resolve(),
            "on_gpu": on_gpu,
            "workers": workers,
        }
        trainer = ray_train.torch.TorchTrainer(
            _rank,
            train_loop_config=settings,
            torch_config=ray_train.torch.TorchConfig(backend="nccl" if on_gpu else "gloo"),
            scaling_config=ray_train.ScalingConfig(
                num_workers=count,
                use_gpu=on_gpu,
                # More ranks than cores is slow, but no reason to wait for ever.
                resources_per_worker={"CPU": min(1.0, cluster.cpus / count), "GPU": int(on_gpu)},
            ),
            run_config=ray_train.RunConfig(
                storage_path=str(scratch),
                failure_config=ray_train.FailureConfig(max_failures=restarts),
            ),
        )
        try:
            trainer.fit()
        except ray_train.TrainingFailedError as error:
            raise ChildProcessError(f"training on {count} ranks failed: {_first(error)}") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _rank(settings: dict[str, Any]) -> None:
    """What each process does."""
    import ray
    import ray.train.torch

    textures, held_out, real = ray.get(settings["data"])
    device = ray.train.torch.get_device() if settings["on_gpu"] else torch.device("cpu")
    train(
        settings["config"],
        textures,
        held_out,
        settings["folder"],
        start=settings["start"],
        resume=settings["resume"],
        real=real,
        teacher=settings["teacher"],
        device=str(device),
        workers=settings["workers"],
        ranks=Ranks.joined(),
    )


def _ray_train() -> Any:
    try:
        import ray.train
        import ray.train.torch
    except ImportError as error:
        raise ValueError(
            f"several ranks need Ray Train ({error}): pip install 'tapirus[train]'"
        ) from error
    return ray.train


def _first(error: BaseException) -> str:
    """The cause that a rank died of, out of pages of traceback."""
    failures = getattr(error, "worker_failures", None) or {}
    cause = next(iter(failures.values()), error)
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(cause).__name__


@contextmanager
def _followed(log: Path, report: Callable[[Figures], None] | None) -> Iterator[None]:
    """Reports the lines that the first rank appends to the log, for as long as the block lasts."""
    if report is None:
        yield
        return
    done = threading.Event()
    follower = threading.Thread(target=_follow, args=(log, report, done), daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()


def _follow(log: Path, report: Callable[[Figures], None], done: threading.Event) -> None:
    latest, offset, file_number = -1.0, 0, -1
    if log.exists():  # what an earlier run did is no news
        offset, file_number = log.stat().st_size, log.stat().st_ino
    while True:
        ending = done.wait(_POLL_SECONDS)
        if log.exists():
            if log.stat().st_ino != file_number:  # written again after a restart
                offset, file_number = 0, log.stat().st_ino
            with log.open("rb") as file:
                file.seek(offset)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            offset += len(whole)
            for line in whole.splitlines():
                figures = json.loads(line)
                if figures["step"] > latest:
                    latest = figures["step"]
                    report(figures)
        if ending:
            return
