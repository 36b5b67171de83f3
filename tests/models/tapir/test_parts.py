"""Layers, heads and resolutions against definitions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.tapir.cost_volume import soft_argmax
from models.tapir.layers import InstanceNorm, Pointwise, l2_normalize, temporal_conv
from models.tapir.mixer import MixerBlock
from models.tapir.resolutions import default_resolutions


@pytest.mark.parametrize("side", [5, 40])  # below and above the switch between two formulas
def test_instance_norm_and_its_backward_pass(side: int) -> None:
    torch.manual_seed(0)
    norm = InstanceNorm(6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 6, side, side).contiguous(memory_format=torch.channels_last) * 3 + 1
    x.requires_grad_()
    expected = F.instance_norm(x, weight=norm.weight, bias=norm.bias)
    trained = norm(x)
    with torch.no_grad():
        torch.testing.assert_close(norm(x), expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(trained, expected, atol=2e-5, rtol=1e-5)
    grad = torch.randn_like(trained)
    inputs = (x, norm.weight, norm.bias)
    ours = torch.autograd.grad(trained, inputs, grad)
    theirs = torch.autograd.grad(expected, inputs, grad)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3)


def test_pointwise_is_linear() -> None:
    layer = Pointwise(5, 7)
    x = torch.randn(3, 4, 5)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


def test_fused_gelu_equals_gelu_after() -> None:
    torch.manual_seed(0)
    x, layer = torch.randn(3, 9, 8), Pointwise(8, 12)
    # Slices of larger tensors, as the mixer passes them: a fused kernel must mind the strides.
    weight, bias = torch.randn(8, 4, 3)[:, 1], torch.randn(8, 4)[:, 1]
    with torch.no_grad():
        expected = F.gelu(layer(x), approximate="tanh")
        torch.testing.assert_close(layer(x, gelu=True), expected)
        expected = F.gelu(temporal_conv(x, weight, bias, 1), approximate="tanh")
        torch.testing.assert_close(temporal_conv(x, weight, bias, 1, gelu=True), expected)


@pytest.mark.parametrize("padding", [0, 1])
def test_temporal_conv_is_depthwise_conv1d(padding: int) -> None:
    x, weight, bias = torch.randn(3, 9, 5), torch.randn(5, 3), torch.randn(5)
    expected = F.conv1d(x.transpose(1, 2), weight[:, None], bias, padding=padding, groups=5)
    torch.testing.assert_close(temporal_conv(x, weight, bias, padding), expected.transpose(1, 2))


@pytest.mark.parametrize("causal", [False, True])
def test_mixer_block_equals_grouped_convolutions(causal: bool) -> None:
    torch.manual_seed(0)
    block = MixerBlock(6, 4, causal)
    x = torch.randn(2, 7, 6)
    out, _ = block(x)

    def conv(conv1d: nn.Conv1d, value: torch.Tensor) -> torch.Tensor:
        pad = (2, 0) if causal else (1, 1)
        return conv1d(F.pad(value.transpose(1, 2), pad)).transpose(1, 2)

    hidden = F.gelu(conv(block.mlp1_up, block.layer_norm(x)), approximate="tanh")
    mixed = conv(block.mlp1_up_1, hidden).unflatten(-1, (6, 4)).sum(-1)
    middle = x + mixed
    expected = middle + block.conv_channels_mixer(block.layer_norm_1(middle))
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_l2_normalize() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(l2_normalize(x, 1), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def test_soft_argmax_of_one_sharp_peak_is_its_centre() -> None:
    heatmap = torch.zeros(1, 6, 9)
    heatmap[0, 4, 2] = 10.0
    torch.testing.assert_close(soft_argmax(heatmap, 20.0), torch.tensor([[2.5, 4.5]]))


def test_soft_argmax_averages_neighbours_and_ignores_far_cells() -> None:
    heatmap = torch.full((1, 4, 30), -100.0)
    heatmap[0, 1, 3] = heatmap[0, 1, 4] = 1.0  # two equal neighbours: between them
    heatmap[0, 1, 20] = 0.999  # nearly as likely, but far away
    torch.testing.assert_close(soft_argmax(heatmap, 20.0), torch.tensor([[4.0, 1.5]]))


@pytest.mark.parametrize(
    "size, expected",
    [
        ((256, 256), [(256, 256)]),
        ((100, 180), [(256, 256)]),
        ((384, 384), [(256, 256), (384, 384)]),
        ((512, 512), [(256, 256), (512, 512)]),
        ((256, 384), [(256, 256), (256, 384)]),
        ((480, 854), [(256, 256), (344, 464), (480, 848)]),
        ((1024, 1024), [(256, 256), (512, 512), (1024, 1024)]),
    ],
)
def test_default_resolutions(size: tuple[int, int], expected: list[tuple[int, int]]) -> None:
    assert default_resolutions(size, (256, 256)) == expected


class _GeluGradients(TorchDispatchMode):
    """Notes the strides of what every backward pass of a GELU is given."""

    def __init__(self) -> None:
        super().__init__()
        self.strides: list[list[tuple[int, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.gelu_backward.default:
            # Where an axis has length 1 its stride says nothing.
            self.strides.append(
                [tuple(s for s, n in zip(a.stride(), a.shape, strict=True) if n > 1) for a in args]
            )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("block", [MixerBlock(6, 4, False), MixerBlock(6, 4, True)])
def test_gradients_reach_a_gelu_laid_out_as_its_input(block: MixerBlock) -> None:
    """Else it runs ten times longer."""
    x = torch.randn(3, 7, 6, requires_grad=True)
    with _GeluGradients() as noted:
        block(x)[0].square().sum().backward()
    assert len(noted.strides) == 5
    assert all(gradient == value for gradient, value in noted.strides)
