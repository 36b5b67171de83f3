"""The order in which clips are seen: a pure function of seed and position.

Epochs follow one another without a gap: position ``p`` is clip ``p % n`` of epoch ``p // n``, and a
batch may reach from one epoch into the next. So every clip comes exactly once in every epoch, for
any batch size and any number of readers, nothing is dropped at an end, and the position alone says
how to go on.

Within an epoch the row groups are shuffled, then the clips of each ``window`` successive groups
among each other: a reader needs no more than a window of groups at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int


class ShuffledOrder:
    """Which clip stands at which position.

    group: for each clip, a number that clips read together share. window: groups that are mixed.
    """

    def __init__(self, group: Int[np.ndarray, " n"], window: int, seed: int) -> None:
        if not len(group):
            raise ValueError("there are no clips to put into an order")
        self._members = _grouped(group)
        self._window = window
        self._seed = seed
        self._count = len(group)
        self._epochs: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        """Clips in an epoch."""
        return self._count

    def at(self, position: int) -> tuple[int, int]:
        """(clip, epoch) at a position from 0 on."""
        epoch, offset = divmod(position, self._count)
        return int(self.epoch(epoch)[offset]), epoch

    def epoch(self, epoch: int) -> Int[np.ndarray, " n"]:
        """All clips in the order of an epoch."""
        if epoch not in self._epochs:
            # A batch may reach from one epoch into the next: both are kept.
            self._epochs = {k: v for k, v in self._epochs.items() if k == epoch - 1}
            self._epochs[epoch] = self._make_epoch(epoch)
        return self._epochs[epoch]

    def _make_epoch(self, epoch: int) -> Int[np.ndarray, " n"]:
        rng = np.random.default_rng((self._seed, epoch))
        groups = [self._members[k] for k in rng.permutation(len(self._members))]
        windows = range(0, len(groups), self._window)
        return np.concatenate(
            [rng.permutation(np.concatenate(groups[k : k + self._window])) for k in windows]
        )


def _grouped(group: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " k"]]:
    """Indices of the members of each group."""
    order = np.argsort(group, kind="stable")
    borders = np.flatnonzero(np.diff(group[order])) + 1
    return np.split(order, borders)
