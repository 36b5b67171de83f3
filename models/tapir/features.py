"""What the backbone sees of a video, and of it at the query points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

Resolution = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class FeatureGrids:
    """Normalised features of a video at one resolution, highres at stride 4, lowres at 8."""

    resolution: Resolution
    highres: Float[Tensor, "b t h4 w4 c_high"]
    lowres: Float[Tensor, "b t h8 w8 c_low"]

    def pyramid(self, pooled_levels: int, highres: bool) -> list[Float[Tensor, "b t h w c"]]:
        """The grids that score maps are taken from, finest first."""
        levels = [self.highres, self.lowres] if highres else [self.lowres]
        for _ in range(pooled_levels):
            grid = levels[-1]
            pooled = F.avg_pool2d(grid.flatten(0, 1).permute(0, 3, 1, 2), 2)
            levels.append(pooled.permute(0, 2, 3, 1).unflatten(0, grid.shape[:2]))
        return levels


@dataclass(frozen=True)
class QueryFeatures:
    """Features at the query points, one entry per feature resolution."""

    highres: tuple[Float[Tensor, "b n c_high"], ...]
    lowres: tuple[Float[Tensor, "b n c_low"], ...]

    def __getitem__(self, chunk: slice) -> QueryFeatures:
        return QueryFeatures(
            tuple(f[:, chunk] for f in self.highres), tuple(f[:, chunk] for f in self.lowres)
        )
