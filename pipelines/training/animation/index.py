"""Which clips of a dataset are used, and where they stand in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.training.animation.data_config import DataConfig
from trajectories import Dataset, DatasetError, QueryError, fetch_result
from trajectories.schema import CLIPS_PER_ROW_GROUP

if TYPE_CHECKING:
    from jaxtyping import Int


@dataclass(frozen=True, eq=False)
class ClipIndex:
    """Clips in the order of the dataset: some 50 bytes each, whatever their number of points.

    shards: names of shards. shard: which of them a clip is in. row: its row in that shard.
    ids: clip ids as bytes.
    """

    shards: tuple[str, ...]
    shard: Int[np.ndarray, " n"]
    row: Int[np.ndarray, " n"]
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def group(self) -> Int[np.ndarray, " n"]:
        """A number for each clip that is the same for those of one row group of `points`."""
        span = int(self.row.max(initial=0)) // CLIPS_PER_ROW_GROUP + 1
        return self.shard * span + self.row // CLIPS_PER_ROW_GROUP

    def take(self, chosen: np.ndarray) -> ClipIndex:
        """The clips of a mask or of ascending positions."""
        return ClipIndex(self.shards, self.shard[chosen], self.row[chosen], self.ids[chosen])

    def without(self, ids: set[str]) -> ClipIndex:
        """All but these clips."""
        unwanted = np.array(sorted(ids), dtype="S32")
        return self.take(~np.isin(self.ids, unwanted))

    def spread(self, count: int) -> ClipIndex:
        """At most ``count`` clips, evenly over the dataset."""
        if count >= len(self):
            return self
        return self.take((2 * np.arange(count) + 1) * len(self) // (2 * count))


@dataclass(frozen=True)
class Selection:
    """The clips of a dataset that fulfil the condition, divided by source video."""

    train: ClipIndex
    validation: ClipIndex
    left_out: int
    """Clips that do not fulfil the condition."""

    def without(self, ids: set[str]) -> Selection:
        """All but these clips."""
        return Selection(self.train.without(ids), self.validation.without(ids), self.left_out)

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{len(self.train)} clips to train on, {len(self.validation)} held out, "
            f"{self.left_out} left out by the condition"
        )


def select_clips(dataset: Dataset, config: DataConfig) -> Selection:
    """Reads ids and sources shard by shard; the condition is DuckDB's work.

    Raises QueryError for a condition that DuckDB refuses, DatasetError where no clip is left to
    train on.
    """
    fulfilling = _fulfilling(dataset, config.where)
    names = tuple(name for name, receipt in dataset.shards.items() if receipt.clips)
    parts: dict[str, list[tuple[int, int, bytes]]] = {"train": [], "validation": []}
    total = 0
    for number, name in enumerate(names):
        for row, info in enumerate(dataset.shard_infos(name)):
            total += 1
            if info.clip_id in fulfilling:
                place = number, row, info.clip_id.encode()
                parts[config.part_of(info.source)].append(place)
    selection = Selection(
        _index(names, parts["train"]), _index(names, parts["validation"]), total - len(fulfilling)
    )
    if not len(selection.train):
        raise DatasetError(
            f"{dataset.root}: no clip is left to train on ({selection.summary()}, "
            f'{total} in all): extract more videos, or change data.where ("{config.where}")'
        )
    return selection


def _fulfilling(dataset: Dataset, where: str) -> set[str]:
    try:
        # The line break keeps a comment at the end of the condition from hiding the parenthesis.
        found = fetch_result(dataset.sql(f"SELECT clip_id FROM clips WHERE ({where}\n)"))
    except QueryError as error:
        raise QueryError(f"data.where: {error}") from error
    return set(found["clip_id"].to_pylist())


def _index(shards: tuple[str, ...], places: list[tuple[int, int, bytes]]) -> ClipIndex:
    columns: list[Any] = [list(column) for column in zip(*places, strict=True)] or [[], [], []]
    return ClipIndex(
        shards,
        np.array(columns[0], np.int64),
        np.array(columns[1], np.int64),
        np.array(columns[2], "S32"),
    )
