"""The features of the conditioning image: a small ConvNet at stride 4 (paper section 5)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class ImageEncoder(nn.Module):
    """Strided convolutions to the grid of the trajectories, then residual blocks."""

    def __init__(self, channels: int, stride: int = 4, num_blocks: int = 2) -> None:
        """``stride`` is a power of two; widths double up to ``channels`` (a multiple of 8)."""
        super().__init__()
        levels = round(math.log2(stride))
        if stride < 2 or 2**levels != stride:
            raise ValueError(f"stride is {stride}: must be a power of two, at least 2")
        widths = [max(16, channels >> (levels - 1 - level)) for level in range(levels - 1)]
        layers: list[nn.Module] = []
        for w_in, w_out in zip([3, *widths], [*widths, channels], strict=True):
            layers += [nn.Conv2d(w_in, w_out, 3, 2, 1), nn.GroupNorm(8, w_out), nn.SiLU()]
        self.strided = nn.Sequential(*layers)
        self.blocks = nn.Sequential(*(_Residual(channels) for _ in range(num_blocks)))
        self.norm = nn.GroupNorm(8, channels)

    def forward(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c h w"]:
        """Features of images in [-1, 1]."""
        return self.norm(self.blocks(self.strided(image)))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.nn.functional.silu(self.norm1(x)))
        return x + self.conv2(torch.nn.functional.silu(self.norm2(y)))
