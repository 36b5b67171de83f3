"""Batches of clips, each determined by the step it is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipelines.synthetic import TextureBank, make_clip
from pipelines.training.augment import Example, augmented
from pipelines.training.config import CLIPS_PER_SEED, MAX_SEED, TrainConfig
from pipelines.training.ranks import Ranks
from pipelines.training.real import RealClips
from pipelines.training.views import make_view

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

VALIDATION_SEED = MAX_SEED * CLIPS_PER_SEED
"""Seeds from here on are never trained on."""


@dataclass(frozen=True)
class Batch:
    """Clips with their truth; positions in pixels of the clips."""

    video: UInt8[torch.Tensor, "b t h w 3"]
    queries: Float[torch.Tensor, "b n 3"]
    tracks: Float[torch.Tensor, "b n t 2"]
    occluded: Bool[torch.Tensor, "b n t"]
    counted: Bool[torch.Tensor, "b n t"] | None = None
    """Where a teacher's word is taken for truth; None: the truth is known everywhere."""

    def to(self, device: torch.device) -> Batch:
        return Batch(*_moved(vars(self).values(), device))

    def first(self, num_queries: int) -> Batch:
        """The same clips with fewer points."""
        part = slice(num_queries)
        counted = None if self.counted is None else self.counted[:, part]
        return Batch(
            self.video,
            self.queries[:, part],
            self.tracks[:, part],
            self.occluded[:, part],
            counted,
        )


@dataclass(frozen=True)
class ViewBatch:
    """Real clips without truth: the fields of `pipelines.training.views.View`, stacked."""

    clean: UInt8[torch.Tensor, "b t s s 3"]
    student: UInt8[torch.Tensor, "b t h w 3"]
    affine: Float[torch.Tensor, "b t 2 3"]
    backwards: Bool[torch.Tensor, " b"]
    asked: Float[torch.Tensor, "b n 3"]
    pick: Float[torch.Tensor, "b n"]

    def to(self, device: torch.device) -> ViewBatch:
        return ViewBatch(*_moved(vars(self).values(), device))


def _moved(parts: Iterable[torch.Tensor | None], device: torch.device) -> Iterator[Any]:
    for part in parts:
        yield None if part is None else part.to(device, non_blocking=True)


def is_real_step(step: int, share: float) -> bool:
    """Whether the step learns from real clips: a `share` of all, evenly spread."""
    return int((step + 1) * share) > int(step * share)


class _Clips(Dataset[tuple[np.ndarray, ...]]):
    """The clips of this process from one step on, in order."""

    def __init__(
        self,
        config: TrainConfig,
        textures: TextureBank,
        real: RealClips | None,
        first_step: int,
        ranks: Ranks,
    ) -> None:
        self.config, self.textures, self.real = config, textures, real
        self.clips = config.clips()
        self.first_step = first_step
        self.rows = ranks.rows(config.batch_size)

    def __len__(self) -> int:
        # None where a checkpoint is beyond the steps asked for.
        return max(0, self.config.steps - self.first_step) * len(self.rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        config = self.config
        step = self.first_step + index // len(self.rows)
        row = self.rows[index % len(self.rows)]
        number = config.seed * CLIPS_PER_SEED + step * config.batch_size + row
        if self.real is not None and is_real_step(step, config.real_share):
            view = make_view(
                self.real,
                number,
                num_frames=config.num_frames,
                size=config.size,
                num_queries=config.num_queries,
                config=config.real,
            )
            backwards = np.array(view.backwards)
            return view.clean, view.student, view.affine, backwards, view.asked, view.pick
        clip = make_clip(number, self.clips, self.textures)
        example = Example(clip.video, clip.queries, clip.tracks, clip.occluded)
        example = augmented(example, number, mirror=config.flip, reverse=config.reverse)
        parts = (example.video, example.queries, example.tracks, example.occluded)
        return tuple(np.ascontiguousarray(part) for part in parts)


def batches(
    config: TrainConfig,
    textures: TextureBank,
    *,
    first_step: int,
    workers: int,
    real: RealClips | None = None,
    ranks: Ranks | None = None,
    pinned: bool = False,
) -> Iterator[Batch | ViewBatch]:
    """The batches of steps ``first_step`` to ``config.steps``, as far as they are this rank's.

    What is in a clip follows from the configuration's seed, the step and the row of the batch
    alone: an interrupted run that is resumed sees what it would have seen, and several ranks
    see together what one would have.

    Args:
        workers: processes that make clips; 0: this one.
        real: source of the clips of real steps; without it all steps are synthetic.
        pinned: in page-locked memory, from which a GPU copies while it computes.
    """
    clips = _Clips(config, textures, real, first_step, ranks or Ranks())
    loader = DataLoader(
        clips,
        batch_size=len(clips.rows),
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        pin_memory=pinned,
    )
    for parts in loader:
        yield Batch(*parts) if len(parts) == 4 else ViewBatch(*parts)
