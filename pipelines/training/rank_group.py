"""A group of processes that train together, started and watched by Ray Train."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pipelines.training.log import LOG, Figures

_POLL_SECONDS = 0.5


def run_ranks(
    work: Callable[[dict[str, Any]], None],
    settings: Callable[[], dict[str, Any]],
    folder: Path,
    *,
    count: int,
    address: str | None = None,
    device: str = "cpu",
    restarts: int = 3,
    report: Callable[[Figures], None] | None = None,
) -> None:
    """Calls ``work`` in `count` processes that make up a group of torch, one GPU each on ``cuda``.

    Args:
        work: a function of a module; it goes on from where the files in ``folder`` say.
        settings: what ``work`` is given, asked for once Ray is up, so that it may hold objects of
            Ray's store. `rank_device` tells ``work`` where it computes.
        folder: of the run; the log in it is what `report` is told of.
        address: "host:port" of a running Ray cluster; by default this machine.
        restarts: how often ranks that died are started again.

    Raises:
        ValueError: too few GPUs, or Ray Train that is not installed.
        ChildProcessError: ranks died more often than `restarts`.
    """
    ray_train = _ray_train()

    from pipelines.extract.cluster import ray_cluster

    scratch = folder / ".ray"
    on_gpu = torch.device(device).type == "cuda"
    with ray_cluster(address) as cluster, _followed(folder / LOG, report):
        if on_gpu and cluster.gpus < count:
            raise ValueError(f"{count} ranks need a GPU each: Ray has {cluster.gpus:.0f}")
        trainer = ray_train.torch.TorchTrainer(
            work,
            train_loop_config=settings(),
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


def rank_device(device: str) -> str:
    """Where this rank computes: the GPU that Ray gave it, or the CPU."""
    if torch.device(device).type != "cuda":
        return "cpu"
    import ray.train.torch

    return str(ray.train.torch.get_device())


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
