"""Batches of clips with their frames, each determined by the step it is for.

Row groups of `points` are read in shuffled order and held as long as their clips are being mixed:
memory grows with the batch and the shuffle buffer. Worker processes and ranks divide the work, not
the order: batch k is the same whoever reads it, and a run goes on at any step by its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from pipelines.training.animation.augment import (
    Change,
    change_frames,
    change_tracks,
    draw_change,
)
from pipelines.training.animation.clips import GridTracks, Shape, to_grid, to_size
from pipelines.training.animation.config import AugmentConfig
from pipelines.training.animation.frames import FrameStore
from pipelines.training.animation.index import ClipIndex
from pipelines.training.animation.order import ShuffledOrder
from pipelines.training.ranks import Ranks
from trajectories import ClipInfo, Dataset
from trajectories.schema import CLIPS_PER_ROW_GROUP
from trajectories.tables import RowGroup

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64, UInt8

FramePick = Callable[[np.random.Generator, int], Sequence[int]]
"""Which frames of a clip to read, from a random generator and the number of frames."""


def first_frame(rng: np.random.Generator, num_frames: int) -> Sequence[int]:
    """For the trajectory model: the picture that is animated."""
    return (0,)


def frame_with_neighbours(rng: np.random.Generator, num_frames: int) -> Sequence[int]:
    """For the pixel model: the first frame, then a later one between its neighbours.

    Beyond the last frame stands the last one again.
    """
    t = int(rng.integers(1, num_frames))
    return 0, t - 1, t, min(t + 1, num_frames - 1)


@dataclass(frozen=True)
class Batch:
    """Clips with some of their frames; tracks (x, y) in pixels of the model frame."""

    frames: UInt8[torch.Tensor, "b k s s 3"]
    times: Int64[torch.Tensor, "b k"]
    """Which frames those are."""
    tracks: Float[torch.Tensor, "b t 2 h w"]
    visible: Bool[torch.Tensor, "b t h w"]

    def to(self, device: torch.device) -> Batch:
        return Batch(*(value.to(device, non_blocking=True) for value in vars(self).values()))

    def pin_memory(self) -> Batch:
        return Batch(*(value.pin_memory() for value in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Example:
    """One clip; see `Batch`."""

    info: ClipInfo
    frames: UInt8[np.ndarray, "k s s 3"]
    times: tuple[int, ...]
    grid: GridTracks


class ClipReader:
    """Reads clips of an index by their number; holds `groups` row groups at a time."""

    def __init__(
        self, dataset: Dataset, index: ClipIndex, store: FrameStore, shape: Shape, groups: int = 2
    ) -> None:
        self.dataset, self.index, self.store, self.shape = dataset, index, store, shape
        self.groups = groups
        self._group: Callable[[int, int], RowGroup] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def tracks(self, clip: int) -> tuple[ClipInfo, GridTracks]:
        """What a clip is, and its tracks."""
        if self._group is None:
            self._group = lru_cache(maxsize=self.groups)(self._read_group)
        group, row = divmod(int(self.index.row[clip]), CLIPS_PER_ROW_GROUP)
        found = self._group(int(self.index.shard[clip]), group)[row]
        return found.info, to_grid(found, self.shape)

    def frames(self, clip: int, times: Sequence[int]) -> UInt8[np.ndarray, "k s s 3"]:
        """Some of a clip's frames."""
        identity = self.index.ids[clip].decode()
        return to_size(self.store.get(identity, times), self.shape.size)

    def example(
        self, clip: int, times: Sequence[int] | None = None, change: Change | None = None
    ) -> Example:
        """A clip with these frames, by default all of them."""
        times = range(self.shape.num_frames) if times is None else times
        info, grid = self.tracks(clip)
        frames = self.frames(clip, times)
        if change is not None:
            grid = change_tracks(grid, change, self.shape.size)
            frames = change_frames(frames, change)
        return Example(info, frames, tuple(times), grid)

    def __getstate__(self) -> dict[str, object]:
        # The cache stays behind: each process fills its own.
        return vars(self) | {"_group": None}

    def _read_group(self, shard: int, group: int) -> RowGroup:
        return self.dataset.row_group(self.index.shards[shard], group)


def stack(examples: Sequence[Example]) -> Batch:
    """Examples as one batch."""
    return Batch(
        torch.from_numpy(np.stack([e.frames for e in examples])),
        torch.tensor([e.times for e in examples]),
        torch.from_numpy(np.stack([e.grid.tracks for e in examples])),
        torch.from_numpy(np.stack([e.grid.visible for e in examples])),
    )


class _Steps(TorchDataset[Batch]):
    """Item k is this rank's part of the batch of step k."""

    def __init__(
        self,
        reader: ClipReader,
        pick: FramePick,
        augment: AugmentConfig,
        batch_size: int,
        seed: int,
        rows: range,
    ) -> None:
        self.reader, self.pick, self.augment = reader, pick, augment
        self.batch_size, self.seed, self.rows = batch_size, seed, rows
        self.order = ShuffledOrder(reader.index.group, reader.groups, seed)

    def __getitem__(self, step: int) -> Batch:
        return stack([self._example(step * self.batch_size + row) for row in self.rows])

    def _example(self, position: int) -> Example:
        clip, _ = self.order.at(position)
        # Clips and changes are drawn from different streams of the same seed.
        rng = np.random.default_rng((self.seed, 1, position))
        change = draw_change(self.augment, rng)
        return self.reader.example(clip, self.pick(rng, self.reader.shape.num_frames), change)


def batches(
    reader: ClipReader,
    pick: FramePick,
    augment: AugmentConfig,
    *,
    batch_size: int,
    first_step: int,
    steps: int,
    seed: int,
    readers: int = 0,
    ranks: Ranks | None = None,
    pin: bool = False,
) -> Iterator[Batch]:
    """The batches of steps ``first_step`` to ``steps``; the same ones however often resumed.

    batch_size: clips over all ranks; this rank gets its part. readers: processes that read ahead;
    0 reads in this one.
    """
    data = _Steps(reader, pick, augment, batch_size, seed, (ranks or Ranks()).rows(batch_size))
    loader: DataLoader[Batch] = DataLoader(
        data,
        batch_size=None,
        sampler=range(first_step, steps),
        num_workers=readers,
        prefetch_factor=2 if readers else None,
        worker_init_fn=_one_thread if readers else None,
        pin_memory=pin,
    )
    yield from loader


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
