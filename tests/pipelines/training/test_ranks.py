"""Several ranks: who takes what, the exchange between processes, and whole runs through Ray."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from pipelines.synthetic import TextureBank
from pipelines.training.data import Batch, batches
from pipelines.training.log import Figures, read_log
from pipelines.training.ranks import Ranks
from pipelines.training.tracker import train
from tests.pipelines.training.training_makers import NARROW, textures, tiny_config


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_every_clip_of_a_batch_is_taken_once(world: int) -> None:
    rows = [row for rank in range(world) for row in Ranks(rank, world).rows(6)]
    assert rows == list(range(6))


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 6: must be a multiple of the 4 ranks"):
        Ranks(0, 4).rows(6)


def test_the_parts_of_a_batch_are_those_of_one_process() -> None:
    config = tiny_config(batch_size=4, steps=3, flip=True, reverse=True)

    def drawn(ranks: Ranks) -> list[Batch]:
        stream = batches(config, textures(), first_step=1, workers=0, ranks=ranks)
        return [batch for batch in stream if isinstance(batch, Batch)]

    parts = [drawn(Ranks(rank, 2)) for rank in range(2)]
    for index, whole in enumerate(drawn(Ranks())):
        for name in ("video", "queries", "tracks", "occluded"):
            joined = torch.cat([getattr(part[index], name) for part in parts])
            assert torch.equal(joined, getattr(whole, name))


def test_alone_nothing_is_exchanged() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    (2 * parameter).sum().backward()
    Ranks().average_gradients([parameter])
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [2, 2, 2]
    assert Ranks.joined() == Ranks()
    assert Ranks().share("all") == "all"


def _exchange(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    ranks = Ranks.joined()
    assert ranks == Ranks(rank, 2)
    used = torch.nn.Parameter(torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last))
    also, unused = torch.nn.Parameter(torch.zeros(7)), torch.nn.Parameter(torch.zeros(2))
    factor = torch.arange(120.0).reshape(2, 3, 4, 5)
    ((rank + 1) * factor * used).sum().backward()
    (10 * rank * also).sum().backward()
    ranks.average_gradients([used, unused, also])
    assert used.grad is not None
    assert also.grad is not None
    torch.testing.assert_close(used.grad, 1.5 * factor)
    torch.testing.assert_close(also.grad, torch.full((7,), 5.0))
    assert unused.grad is None
    assert ranks.share({"from": rank}) == {"from": 0}
    assert ranks.total([torch.tensor(rank), torch.tensor(2.5)]) == [1, 5]
    torch.distributed.destroy_process_group()


def test_two_processes_average(tmp_path: Path) -> None:
    context = torch.multiprocessing.get_context("fork")
    processes = [context.Process(target=_exchange, args=(r, str(tmp_path))) for r in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *_children(child)]
    return found


def _ranks_running() -> list[int]:
    """Processes of Ray Train's ranks that this process started."""
    return [
        pid
        for pid in _children(os.getpid())
        if b"RayTrainWorker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


@pytest.mark.slow
def test_two_ranks_one_of_them_killed_give_the_losses_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="Ray Train is not installed")
    from pipelines.training.distributed import train_on_ranks

    bank = TextureBank.procedural(seed=1, count=2, size=48)
    config = tiny_config(
        model="tapir-mini", network=NARROW, batch_size=2, steps=12, checkpoint_every=2
    )
    alone = train(config, bank, bank, tmp_path / "alone", workers=0)

    killed: list[int] = []
    reported: list[float] = []

    def report(figures: Figures) -> None:
        reported.append(figures["step"])
        if figures["step"] >= 4 and not killed:
            killed.append(_ranks_running()[-1])
            os.kill(killed[0], signal.SIGKILL)

    began = time.monotonic()
    train_on_ranks(config, bank, bank, tmp_path / "ranks", count=2, workers=0, report=report)
    assert len(killed) == 1, f"nothing was killed in {time.monotonic() - began:.0f} s"
    assert reported == list(range(1, 13))
    one, two = read_log(tmp_path / "alone"), read_log(tmp_path / "ranks")
    assert [line["step"] for line in two] == list(range(1, 13))
    for first, second in zip(one, two, strict=True):
        for name in ("loss", "loss_initial", "loss_final", "within_4px", "grad_norm"):
            assert second[name] == pytest.approx(first[name], rel=1e-4, abs=1e-6), name
    assert alone.step == 12
    assert not (tmp_path / "ranks" / ".ray").exists()


def test_a_batch_for_fewer_ranks_is_refused_at_once(tmp_path: Path) -> None:
    from pipelines.training.distributed import train_on_ranks

    with pytest.raises(ValueError, match="multiple of the 3 ranks"):
        train_on_ranks(tiny_config(batch_size=2), textures(), textures(), tmp_path, count=3)
