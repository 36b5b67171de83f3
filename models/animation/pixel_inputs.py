"""What the pixel model is told about a frame: the first frame carried there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.animation.completion import complete_warp
from models.animation.warp import STRIDE, inverse_map, sample_source

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Carried:
    """The first frame and its features as seen at other frames."""

    warped: Float[Tensor, "b 3 S S"]
    """Without holes: see `complete_warp`."""
    covered: Float[Tensor, "b 1 S S"]
    """How much ``warped`` is to be trusted: see `InverseMap.covered`."""
    features: Float[Tensor, "b c s s"]
    """0 in holes."""

    def crop(self, top: int, left: int, side: int) -> Carried:
        """A square of the picture; all numbers in pixels, multiples of the features' stride."""
        patch = self.warped.shape[-1] // self.features.shape[-1]

        def cut(values: Tensor, scale: int) -> Tensor:
            y, x, n = top // scale, left // scale, side // scale
            return values[:, :, y : y + n, x : x + n]

        return Carried(cut(self.warped, 1), cut(self.covered, 1), cut(self.features, patch))


def carry(
    image: Float[Tensor, "b 3 S S"],
    features: Float[Tensor, "b c s s"],
    tracks: Float[Tensor, "b 2 h w"],
    visible: Float[Tensor, "b h w"] | Bool[Tensor, "b h w"],
    *,
    stride: float = STRIDE,
) -> Carried:
    """The first frames, [-1, 1], and their features carried along tracks, one frame per row.

    Differentiable in ``features``. See `inverse_map`.
    """
    height, width = image.shape[2:]
    pixels = inverse_map(tracks, visible, (height, width), stride=stride)
    warped = complete_warp(image, pixels)
    rows, cols = features.shape[2:]
    cells = inverse_map(tracks, visible, (rows, cols), stride=stride)
    carried = sample_source(features, cells, mode="bilinear")
    return Carried(warped.to(image.dtype), pixels.covered, carried)


def noisy_triples(noisy: Float[Tensor, "t 3 S S"]) -> Float[Tensor, "t 9 S S"]:
    """Each frame between the one before and the one after; the ends are repeated."""
    before = torch.cat((noisy[:1], noisy[:-1]))
    after = torch.cat((noisy[1:], noisy[-1:]))
    return torch.cat((before, noisy, after), dim=1)
