"""Several processes that train one network: who takes which clips, and averages over all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Ranks:
    """This process's place among `world` that take every step together.

    Each takes an equal part of every batch, so that the average over all of what each computes
    is what one process would compute on the whole batch.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def joined(cls) -> Ranks:
        """The place in torch's process group; alone where there is none."""
        distributed = torch.distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def rows(self, batch_size: int) -> range:
        """The clips of each batch that this process takes.

        Raises ValueError where a batch does not divide evenly.
        """
        if batch_size % self.world:
            raise ValueError(
                f"batch_size is {batch_size}: must be a multiple of the {self.world} ranks"
            )
        share = batch_size // self.world
        return range(self.rank * share, (self.rank + 1) * share)

    def share(self, value: Any) -> Any:
        """The first process's value, in every process."""
        if self.world == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]

    def total(self, values: Sequence[torch.Tensor]) -> list[float]:
        """Sums over all processes of scalars."""
        stacked = torch.stack([value.detach().float() for value in values])
        if self.world > 1:
            torch.distributed.all_reduce(stacked)
        return stacked.tolist()

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Every gradient becomes its mean over all processes, in one exchange."""
        if self.world == 1:
            return
        # Which have one depends on the network alone: the same in all processes.
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([grad.reshape(-1) for grad in grads])
        torch.distributed.all_reduce(flat)
        flat /= self.world
        pieces = flat.split([grad.numel() for grad in grads])
        for grad, piece in zip(grads, pieces, strict=True):
            grad.copy_(piece.view_as(grad))
