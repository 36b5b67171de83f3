"""The mixer over windows of frames against its definition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from models.tapir.windows import WindowBlock, join_windows, split_windows


@pytest.mark.parametrize(
    "frames, expected",
    [
        (1, [[0, 0, 0, 0]]),
        (4, [[0, 1, 2, 3]]),
        (6, [[0, 1, 2, 3], [4, 5, 5, 5]]),
        (8, [[0, 1, 2, 3], [4, 5, 6, 7]]),
    ],
)
def test_windows_are_filled_up_with_the_last_frame(frames: int, expected: list[list[int]]) -> None:
    x = torch.arange(frames).float()[None, :, None]
    windows = split_windows(x, 4)
    assert windows[..., 0].tolist() == expected
    assert torch.equal(join_windows(windows, frames), x)


@pytest.mark.parametrize("frames", [3, 8, 13, 16])
def test_sequences_come_back_in_their_order(frames: int) -> None:
    x = torch.randn(5, frames, 3)
    windows = split_windows(x, 8)
    assert windows.shape == (5 * -(-frames // 8), 8, 3)
    assert torch.equal(join_windows(windows, frames), x)


def test_a_block_is_two_residual_mlps() -> None:
    torch.manual_seed(0)
    block = WindowBlock(channels=6, expansion=3, window=4)
    torch.nn.init.normal_(block.layer_norm.weight)
    x = torch.randn(2, 4, 6)

    def norm(value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        mean = value.mean(-1, keepdim=True)
        return (value - mean) / (value.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt() * weight

    up, down = block.time_up, block.time_down
    assert up.weight.shape == (12, 4)
    hidden = torch.einsum("fs,bsc->bfc", up.weight, norm(x, block.layer_norm.weight))
    hidden = F.gelu(hidden + up.bias[:, None], approximate="tanh")
    middle = x + torch.einsum("sf,bfc->bsc", down.weight, hidden) + down.bias[:, None]
    mlp = block.conv_channels_mixer
    wide = F.linear(norm(middle, block.layer_norm_1.weight), mlp.mlp2_up.weight, mlp.mlp2_up.bias)
    narrow = F.linear(F.gelu(wide, approximate="tanh"), mlp.mlp2_down.weight, mlp.mlp2_down.bias)
    out, context = block(x)
    assert context is None
    torch.testing.assert_close(out, middle + narrow, atol=1e-5, rtol=1e-5)


def test_frames_change_places_with_their_weights() -> None:
    """What mixes frames treats each by its place in the window, and channels alike."""
    torch.manual_seed(0)
    block = WindowBlock(channels=5, expansion=2, window=4)
    x, order = torch.randn(1, 4, 5), torch.tensor([2, 0, 3, 1])
    expected, _ = block(x)
    with torch.no_grad():
        block.time_up.weight.copy_(block.time_up.weight[:, order])
        block.time_down.weight.copy_(block.time_down.weight[order])
        block.time_down.bias.copy_(block.time_down.bias[order])
    moved, _ = block(x[:, order])
    torch.testing.assert_close(moved, expected[:, order], atol=1e-5, rtol=1e-5)
