"""Layers written for the device they run on: norms, pointwise and temporal convolutions.

Each computes exactly what the plain torch layer of the same parameters computes; only the
route differs. On CPUs, oneDNN convolutions reach two to four times the rate of the BLAS
behind ``F.linear`` and of the grouped 1-D convolution, so both are phrased as 2-D
convolutions over channels-last views (no data is moved).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


_EPS = 1e-5
_MANY_CELLS = 1024


class InstanceNorm(nn.Module):
    """Instance norm over space with scale and offset (eps 1e-5), without running statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if torch.is_grad_enabled() and x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return _TrainedInstanceNorm.apply(x, self.weight, self.bias)
        return _instance_norm(x, self.weight, self.bias)[0]


def _instance_norm(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output, and the mean and reciprocal deviation [b, c] of each channel of each image."""
    batch, channels, height, width = x.shape
    if height * width >= _MANY_CELLS:
        # One group per channel is instance norm, and keeps channels-last where
        # F.instance_norm converts to channels-first and back.
        return torch.native_group_norm(
            x, weight.to(x.dtype), bias.to(x.dtype), batch, channels, height * width, channels, _EPS
        )
    # torch's group norm walks small images column by column.
    mean = x.mean((2, 3), dtype=torch.float32)
    centred = x - mean.to(x.dtype)[:, :, None, None]
    rstd = torch.rsqrt(centred.square().mean((2, 3), dtype=torch.float32) + _EPS)
    scale = (weight * rstd).to(x.dtype)[:, :, None, None]
    return torch.addcmul(bias.to(x.dtype)[:, None, None], centred, scale), mean, rstd


class _TrainedInstanceNorm(torch.autograd.Function):
    """Group norm with one group per channel; its own backward pass for channels-last CPUs.

    torch's takes sixty times longer than the two fused passes below, a third of a training step.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        out, mean, rstd = _instance_norm(x, weight, bias)
        ctx.save_for_backward(x, weight, mean, rstd)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (grad,) = grads
        x, weight, mean, rstd = ctx.saved_tensors
        mean, rstd = mean.float(), rstd.float()  # [b, c]
        grad_sum = grad.mean((2, 3), dtype=torch.float32)
        product_sum = (grad * x).mean((2, 3), dtype=torch.float32)
        normed_sum = (product_sum - mean * grad_sum) * rstd  # mean of grad * normalised x
        scale = weight.float() * rstd
        slope = -scale * rstd * normed_sum
        offset = -scale * grad_sum - slope * mean

        def spread(coefficient: Tensor) -> Tensor:
            return coefficient.to(x.dtype)[:, :, None, None]

        grad_x = torch.addcmul(spread(offset), x, spread(slope)).addcmul_(grad, spread(scale))
        cells = x.shape[2] * x.shape[3]
        return (
            grad_x,
            (normed_sum.sum(0) * cells).to(weight.dtype),
            (grad_sum.sum(0) * cells).to(weight.dtype),
        )


class ScaleNorm(nn.Module):
    """Layer norm over the last axis with a scale and no offset (eps 1e-5)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "... c"]) -> Float[Tensor, "... c"]:
        return F.layer_norm(x, (x.shape[-1],), self.weight, None, 1e-5)


class Pointwise(nn.Linear):
    """``nn.Linear`` over [b, t, c], run as a 1x1 convolution on the CPU."""

    def forward(self, x: Float[Tensor, "b t c"], gelu: bool = False) -> Float[Tensor, "b t d"]:
        """The product, with a tanh-GELU after it if asked for."""
        if x.device.type != "cpu":
            out = F.linear(x, self.weight, self.bias)
            return F.gelu(out, approximate="tanh") if gelu else out
        image = x.unsqueeze(0).permute(0, 3, 1, 2)  # [1, c, b, t], channels last
        out = _conv(image, self.weight[:, :, None, None], self.bias, 0, 1, gelu)
        # Not out[0]: the gradient of a selected image loses its channels-last strides, and what
        # comes before it runs ten times longer.
        return out.squeeze(0).permute(1, 2, 0)


class ChannelMixer(nn.Module):
    """Linear to ``expansion`` times the width, GELU, and back."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        self.mlp2_up = Pointwise(channels, expansion * channels)
        self.mlp2_down = Pointwise(expansion * channels, channels)

    def forward(self, x: Float[Tensor, "b t c"]) -> Float[Tensor, "b t c"]:
        return self.mlp2_down(self.mlp2_up(x, gelu=True))


def temporal_conv(
    x: Float[Tensor, "b t c"],
    weight: Float[Tensor, "c 3"],
    bias: Float[Tensor, " c"],
    padding: int = 0,
    gelu: bool = False,
) -> Float[Tensor, "b t_out c"]:
    """Depthwise convolution over time, kernel 3, ``padding`` zero frames at either end."""
    image = x.unsqueeze(1).permute(0, 3, 1, 2)  # [b, c, 1, t], channels last
    # The weight's strides must say channels-last too, or oneDNN reorders the whole input.
    kernel = weight[:, None, None, :].contiguous(memory_format=torch.channels_last)
    out = _conv(image, kernel, bias, padding, x.shape[2], gelu)
    return out.permute(0, 2, 3, 1).squeeze(1)


def _conv(
    image: Tensor, weight: Tensor, bias: Tensor, padding: int, groups: int, gelu: bool
) -> Tensor:
    """Convolution of [b, c, h, t] with padding over t, and a tanh-GELU if asked for."""
    if gelu and _FUSED_CONV is not None and not torch.is_grad_enabled() and not image.is_cuda:
        # oneDNN computes the GELU while the result is in registers; apart it costs a quarter of
        # the whole refinement. It reads the bias as if it were contiguous.
        bias = bias.contiguous()
        return _FUSED_CONV(
            image, weight, bias, [0, padding], [1, 1], [1, 1], groups, "gelu", [], "tanh"
        )
    out = F.conv2d(image, weight, bias, padding=(0, padding), groups=groups)
    return F.gelu(out, approximate="tanh") if gelu else out


def _fused_conv() -> Any:
    # Not a documented function: any release may drop it, and F.conv2d takes its place.
    if not torch.backends.mkldnn.is_available():
        return None
    return getattr(torch.ops.mkldnn, "_convolution_pointwise", None)


_FUSED_CONV = _fused_conv()


def l2_normalize(x: Tensor, dim: int) -> Tensor:
    """Divide by the Euclidean norm along ``dim`` (at least 1e-6), computed in float32."""
    squares = x.float().square().sum(dim, keepdim=True)
    return x * torch.rsqrt(squares.clamp_min(1e-12)).to(x.dtype)
