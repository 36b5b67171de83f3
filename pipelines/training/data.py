"""Batches of synthetic clips, each determined by the step it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipelines.synthetic import SyntheticConfig, TextureBank, make_clip
from pipelines.training.config import CLIPS_PER_SEED, MAX_SEED

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


class _Clips(Dataset[tuple[np.ndarray, ...]]):
    def __init__(self, first_seed: int, count: int, config: SyntheticConfig, bank: TextureBank):
        self.first_seed, self.count, self.config, self.bank = first_seed, count, config, bank

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        clip = make_clip(self.first_seed + index, self.config, self.bank)
        return clip.video, clip.queries, clip.tracks, clip.occluded


def batches(
    config: SyntheticConfig,
    textures: TextureBank,
    *,
    batch_size: int,
    first_step: int,
    steps: int,
    seed: int,
    workers: int,
) -> Iterator[Batch]:
    """The batches of steps ``first_step`` to ``steps``; the same ones however often resumed.

    Clip seeds follow from ``seed`` and the step alone, so an interrupted run that is resumed
    sees what it would have seen.
    """
    first_seed = seed * CLIPS_PER_SEED + first_step * batch_size
    # None where a checkpoint is beyond the steps asked for.
    count = max(0, steps - first_step) * batch_size
    loader = DataLoader(
        _Clips(first_seed, count, config, textures),
        batch_size=batch_size,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    for video, queries, tracks, occluded in loader:
        yield Batch(video, queries, tracks, occluded)
