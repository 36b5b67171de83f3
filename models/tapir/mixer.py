"""The refinement network: depthwise temporal convolutions and channel MLPs (section 3.2).

Works on sequences of any length. In a causal network every temporal convolution sees two
past frames instead of one past and one future frame, and can carry them as a context so
that frames arrive one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.tapir.config import TapirConfig
from models.tapir.layers import ChannelMixer, Pointwise, ScaleNorm, temporal_conv
from models.tapir.windows import WindowBlock, join_windows, split_windows

if TYPE_CHECKING:
    from jaxtyping import Float

_MEMORY_FRAMES = 2  # kernel 3 looks back two frames


@dataclass(frozen=True)
class BlockContext:
    """The last two frames that entered each temporal convolution of one block."""

    first: Float[Tensor, "b 2 c"]
    second: Float[Tensor, "b 2 ce"]


class MixerBlock(nn.Module):
    """A residual temporal convolution pair, then a residual channel MLP."""

    def __init__(self, channels: int, expansion: int, causal: bool) -> None:
        super().__init__()
        self.expansion = expansion
        self.causal = causal
        self.layer_norm = ScaleNorm(channels)
        self.mlp1_up = nn.Conv1d(channels, expansion * channels, 3, groups=channels)
        self.mlp1_up_1 = nn.Conv1d(
            expansion * channels, expansion * channels, 3, groups=expansion * channels
        )
        self.layer_norm_1 = ScaleNorm(channels)
        self.conv_channels_mixer = ChannelMixer(channels, expansion)

    def forward(
        self, x: Float[Tensor, "b t c"], context: BlockContext | None = None
    ) -> tuple[Float[Tensor, "b t c"], BlockContext | None]:
        """Returns the output and, where a context was given, the one for the next frames."""
        mixed, new_context = self._mix_time(self.layer_norm(x), context)
        x = mixed.add_(x)
        return self.conv_channels_mixer(self.layer_norm_1(x)).add_(x), new_context

    def _mix_time(
        self, x: Float[Tensor, "b t c"], context: BlockContext | None
    ) -> tuple[Float[Tensor, "b t c"], BlockContext | None]:
        channels, expansion = x.shape[-1], self.expansion
        # Output channel e * c + j of the published weights belongs to input channel c. Taken
        # apart by j, each part is a plain depthwise convolution of all input channels, and the
        # sum over each channel's group becomes a sum of the parts.
        up, up_bias = self.mlp1_up.weight.view(channels, expansion, 3), self.mlp1_up.bias
        down, down_bias = self.mlp1_up_1.weight.view(channels, expansion, 3), self.mlp1_up_1.bias
        assert up_bias is not None
        assert down_bias is not None
        up_bias, down_bias = up_bias.view(channels, -1), down_bias.view(channels, -1)
        memory = None if context is None else context.second.unflatten(2, (channels, expansion))

        past_x = self._with_past(x, None if context is None else context.first)
        padding = 0 if self.causal else 1
        total: Tensor | None = None
        seconds = []
        for j in range(expansion):
            hidden = temporal_conv(past_x, up[:, j], up_bias[:, j], padding, gelu=True)
            hidden = self._with_past(hidden, None if memory is None else memory[..., j])
            part = temporal_conv(hidden, down[:, j], down_bias[:, j], padding)
            total = part if total is None else total.add_(part)
            if memory is not None:
                seconds.append(hidden[:, -_MEMORY_FRAMES:])
        assert total is not None
        if context is None:
            return total, None
        return total, BlockContext(
            past_x[:, -_MEMORY_FRAMES:], torch.stack(seconds, dim=-1).flatten(2)
        )

    def _with_past(self, x: Tensor, past: Tensor | None) -> Tensor:
        if past is not None:
            return torch.cat([past, x], dim=1)
        return F.pad(x, (0, 0, _MEMORY_FRAMES, 0)) if self.causal else x


class Mixer(nn.Module):
    """Linear in, blocks, norm, linear out; shared by all refinement iterations."""

    def __init__(self, config: TapirConfig) -> None:
        super().__init__()
        channels = config.mixer_channels
        self.window = config.mixer_window
        self.expansion = config.mixer_expansion
        in_channels = 4 + config.feature_channels + 49 * config.num_score_maps
        self.linear = Pointwise(in_channels, channels)
        self.blocks = nn.ModuleList(
            WindowBlock(channels, config.mixer_expansion, self.window)
            if self.window
            else MixerBlock(channels, config.mixer_expansion, config.causal)
            for _ in range(config.mixer_blocks)
        )
        self.layer_norm = ScaleNorm(channels)
        self.linear_1 = Pointwise(channels, 4 + config.feature_channels)

    def forward(
        self,
        x: Float[Tensor, "b t c_in"],
        contexts: tuple[BlockContext, ...] | None = None,
    ) -> tuple[Float[Tensor, "b t c_out"], tuple[BlockContext, ...] | None]:
        frames = x.shape[1]
        x = self.linear(x)
        if self.window:
            x = split_windows(x, self.window)
        new_contexts = []
        for index, block in enumerate(self.blocks):
            x, context = block(x, None if contexts is None else contexts[index])
            new_contexts.append(context)
        if self.window:
            x = join_windows(x, frames)
        out = self.linear_1(self.layer_norm(x))
        return out, None if contexts is None else tuple(new_contexts)

    def empty_contexts(self, batch: int) -> tuple[BlockContext, ...]:
        """Contexts before the first frame: zeros, as the causal padding."""
        weight = self.linear.weight
        channels = weight.shape[0]

        def zeros(width: int) -> Tensor:
            return weight.new_zeros(batch, _MEMORY_FRAMES, width)

        return tuple(
            BlockContext(zeros(channels), zeros(channels * self.expansion)) for _ in self.blocks
        )
