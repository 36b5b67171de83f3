"""The feature network: a pre-activation ResNet-18 without max-pooling (paper section 3.1).

Two grids come out of it: stride 4 after the second residual group and stride 8 after the
fourth. Attribute names are those of the published state dict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.tapir.layers import InstanceNorm

if TYPE_CHECKING:
    from jaxtyping import Float

_STRIDES = (1, 2, 2, 1)
_BLOCKS_PER_GROUP = 2


def _conv3x3(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, bias=False)


def _conv_same(conv: nn.Conv2d, x: Tensor, stride: int) -> Tensor:
    if stride == 1:  # padding inside the convolution saves a copy of the input
        return F.conv2d(x, conv.weight, padding=1)
    # TensorFlow's "SAME" rule: strided 3x3 convolutions pad bottom and right only.
    return conv(F.pad(x, (0, 2, 0, 2)))


class ResidualBlock(nn.Module):
    """norm, ReLU, conv3x3, norm, ReLU, conv3x3, plus the input (projected where it changes)."""

    def __init__(self, in_channels: int, channels: int, stride: int, project: bool) -> None:
        super().__init__()
        self.stride = stride
        if project:
            self.proj_conv = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
        self.bn_0 = InstanceNorm(in_channels)
        self.conv_0 = _conv3x3(in_channels, channels, stride)
        self.conv_1 = _conv3x3(channels, channels, 1)
        self.bn_1 = InstanceNorm(channels)
        self.project = project

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        out = torch.relu_(self.bn_0(x))
        shortcut = self.proj_conv(out) if self.project else x
        out = _conv_same(self.conv_0, out, self.stride)
        out = torch.relu_(self.bn_1(out))
        return _conv_same(self.conv_1, out, 1).add_(shortcut)


class ResidualGroup(nn.Module):
    """Residual blocks of one width; the first one strides and projects."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualBlock(
                in_channels if index == 0 else channels,
                channels,
                stride if index == 0 else 1,
                project=index == 0,
            )
            for index in range(_BLOCKS_PER_GROUP)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class ResNet(nn.Module):
    """Frames to the two feature grids, before normalisation."""

    def __init__(self, group_channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        stem = group_channels[0]
        self.initial_conv = nn.Conv2d(3, stem, 7, stride=2, bias=False)
        inputs = (stem, *group_channels[:-1])
        self.block_groups = nn.ModuleList(
            ResidualGroup(i, o, s) for i, o, s in zip(inputs, group_channels, _STRIDES, strict=True)
        )

    def forward(
        self, frames: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b c_high h4 w4"], Float[Tensor, "b c_low h8 w8"]]:
        """Frames in [-1, 1] to the stride-4 and stride-8 grids."""
        x = self.initial_conv(F.pad(frames, (2, 4, 2, 4)))
        x = self.block_groups[1](self.block_groups[0](x))
        return x, self.block_groups[3](self.block_groups[2](x))


class ExtraConvBlock(nn.Module):
    """Layer norm, then conv 3x3 to 4 times the width, GELU, and back; the skip is normalised."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(channels)
        self.conv = nn.Conv2d(channels, 4 * channels, 3, padding=1)
        self.conv_1 = nn.Conv2d(4 * channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        x = self.layer_norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + self.conv_1(F.gelu(self.conv(x), approximate="tanh"))


class ExtraConvs(nn.Module):
    """The residual convolutions that BootsTAPIR adds to the low-resolution grid."""

    def __init__(self, channels: int, num_blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ExtraConvBlock(channels) for _ in range(num_blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x
