"""An estimate of all tracks: what every stage of the network takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Estimate:
    """One estimate of all tracks; both logits are before the sigmoid."""

    tracks: Float[Tensor, "b n t 2"]
    occlusion: Float[Tensor, "b n t"]
    uncertainty: Float[Tensor, "b n t"]
    """Minus infinity, probability zero, from a network that estimates none."""

    def scaled(self, x: float, y: float) -> Estimate:
        tracks = self.tracks * self.tracks.new_tensor([x, y])
        return Estimate(tracks, self.occlusion, self.uncertainty)

    def visible(self) -> Bool[Tensor, "b n t"]:
        """(1 - u)(1 - o) > 0.5, section 3.1."""
        return torch.sigmoid(-self.occlusion) * torch.sigmoid(-self.uncertainty) > 0.5

    @staticmethod
    def mean(estimates: Sequence[Estimate]) -> Estimate:
        return Estimate(
            torch.stack([e.tracks for e in estimates]).mean(0),
            torch.stack([e.occlusion for e in estimates]).mean(0),
            torch.stack([e.uncertainty for e in estimates]).mean(0),
        )

    @staticmethod
    def concatenate(chunks: Sequence[Estimate]) -> Estimate:
        return Estimate(
            torch.cat([c.tracks for c in chunks], 1),
            torch.cat([c.occlusion for c in chunks], 1),
            torch.cat([c.uncertainty for c in chunks], 1),
        )
