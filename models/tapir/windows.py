"""The mixer of PIPs: MLPs over fixed windows of frames, for the paper's comparisons.

Replaces the temporal convolutions of :mod:`models.tapir.mixer` and nothing else, so that a
comparison measures these alone (Table 5, "No Depthwise Conv"). Windows do not overlap and are
refined apart from each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.tapir.layers import ChannelMixer, Pointwise, ScaleNorm

if TYPE_CHECKING:
    from jaxtyping import Float


def split_windows(x: Float[Tensor, "b t c"], window: int) -> Float[Tensor, "bk window c"]:
    """Windows of so many frames side by side; the last frame fills up the last window."""
    missing = -x.shape[1] % window
    if missing:
        x = torch.cat([x, x[:, -1:].expand(-1, missing, -1)], dim=1)
    return x.reshape(-1, window, x.shape[2])


def join_windows(x: Float[Tensor, "bk window c"], frames: int) -> Float[Tensor, "b t c"]:
    """The first ``frames`` frames of each sequence that `split_windows` took apart."""
    windows = -(-frames // x.shape[1])
    return x.reshape(-1, windows * x.shape[1], x.shape[2])[:, :frames]


class WindowBlock(nn.Module):
    """A residual MLP over the frames of each window, then a residual channel MLP."""

    def __init__(self, channels: int, expansion: int, window: int) -> None:
        super().__init__()
        self.layer_norm = ScaleNorm(channels)
        self.time_up = Pointwise(window, expansion * window)
        self.time_down = Pointwise(expansion * window, window)
        self.layer_norm_1 = ScaleNorm(channels)
        self.conv_channels_mixer = ChannelMixer(channels, expansion)

    def forward(
        self, x: Float[Tensor, "b window c"], context: None = None
    ) -> tuple[Float[Tensor, "b window c"], None]:
        """A block as the convolutional one, without a context for frames to come."""
        across = self.layer_norm(x).transpose(1, 2)
        x = x + self.time_down(self.time_up(across, gelu=True)).transpose(1, 2)
        return x + self.conv_channels_mixer(self.layer_norm_1(x)), None
