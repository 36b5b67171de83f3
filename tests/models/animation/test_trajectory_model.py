"""The trajectory network: shapes, what it depends on, saving."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.animation import TrajectoryModel
from tests.models.animation.small_animation import FRAMES, GRID, SIZE, shake, small_model


@pytest.mark.parametrize("diffused, per_frame", [("state", 3), ("encoding", 37)])
@pytest.mark.parametrize("stride, patch", [(4, 1), (4, 2), (8, 1), (2, 4)])
def test_shapes(diffused: str, per_frame: int, stride: int, patch: int) -> None:
    model = small_model(stride=stride, patch=patch, diffused=diffused)
    side = SIZE // stride
    assert model.grid_shape == (side, side)
    features = model.encode_image(torch.zeros(2, 3, SIZE, SIZE))
    assert features.shape == (2, 16, side, side)
    noisy = torch.randn(2, per_frame * FRAMES, side, side)
    clean = model(noisy, torch.tensor([3, 900]), features)
    assert clean.shape == noisy.shape
    assert clean.dtype == torch.float32


def test_starts_with_a_still_picture() -> None:
    """Zero-initialised last layers: no displacement, and neither hidden nor seen."""
    model = small_model()
    features = model.encode_image(torch.randn(1, 3, SIZE, SIZE))
    clean = model(torch.randn(1, 3 * FRAMES, GRID, GRID), 500, features)
    occlusion, relative = model.encoding.split(clean)
    assert not relative.any()
    assert (occlusion[:, 0] == -1).all()
    assert not occlusion[:, 1:].any()


def test_first_frame_is_known_and_its_noise_is_not_looked_at() -> None:
    model = shake(small_model())
    features = model.encode_image(torch.randn(1, 3, SIZE, SIZE))
    noisy = torch.randn(1, 3 * FRAMES, GRID, GRID)
    clean = model(noisy, 500, features)
    noisy[:, :3] = 100.0
    assert torch.equal(model(noisy, 500, features), clean)
    assert torch.equal(model.encoding.with_first_frame(clean), clean)
    assert clean[:, 3:].std() > 0.05


def test_drop_keeps_the_image_from_the_network() -> None:
    model = shake(small_model())
    noisy = torch.randn(1, 3 * FRAMES, GRID, GRID).expand(3, -1, -1, -1)
    features = model.encode_image(torch.randn(3, 3, SIZE, SIZE))
    clean = model(noisy, 500, features, torch.tensor([True, True, False]))
    torch.testing.assert_close(clean[0], clean[1])
    assert not torch.allclose(clean[1], clean[2], atol=1e-3)


def test_depends_on_time_image_and_noise_everywhere() -> None:
    """Self-attention: any point may look at any other."""
    model = shake(small_model())
    features = model.encode_image(torch.randn(1, 3, SIZE, SIZE))
    noisy = torch.randn(1, 3 * FRAMES, GRID, GRID)
    clean = model(noisy, 500, features)
    assert not torch.equal(model(noisy, 10, features), clean)
    noisy[:, 5, 0, 0] += 1
    changed = (model(noisy, 500, features) - clean).abs().amax(1)
    assert changed[0, -1, -1] > 0


def test_every_parameter_learns() -> None:
    model = shake(small_model()).train()
    features = model.encode_image(torch.randn(2, 3, SIZE, SIZE))
    noisy = torch.randn(2, 3 * FRAMES, GRID, GRID)
    model(noisy, torch.tensor([1, 999]), features, torch.tensor([True, False])).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_same_for_each_example_of_a_batch() -> None:
    model = shake(small_model())
    features = model.encode_image(torch.randn(3, 3, SIZE, SIZE))
    noisy = torch.randn(3, 3 * FRAMES, GRID, GRID)
    times = torch.tensor([5, 500, 995])
    together = model(noisy, times, features)
    for index in range(3):
        one = slice(index, index + 1)
        alone = model(noisy[one], times[one], features[one])
        torch.testing.assert_close(together[one], alone, atol=2e-4, rtol=1e-3)


def test_bfloat16_is_close() -> None:
    model = shake(small_model(), 0.02)
    image = torch.randn(1, 3, SIZE, SIZE)
    noisy = torch.randn(1, 3 * FRAMES, GRID, GRID)
    exact = model(noisy, 500, model.encode_image(image))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(noisy, 500, model.encode_image(image))
    half = model.bfloat16()
    plain = half(noisy, 500, half.encode_image(image))
    for clean in (mixed, plain):
        assert clean.dtype == torch.float32
        assert (clean - exact).abs().max() < 0.05 * exact.abs().max()
    assert len(plain.unique()) > 0.9 * plain[:, 3:].numel()  # not rounded to bfloat16


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = shake(small_model(diffused="encoding", softness=0.1))
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }
    loaded = TrajectoryModel.from_pretrained(tmp_path)
    assert loaded.encoding == model.encoding
    features = model.encode_image(torch.randn(1, 3, SIZE, SIZE))
    noisy = torch.randn(1, 37 * FRAMES, GRID, GRID)
    torch.testing.assert_close(loaded(noisy, 7, features), model(noisy, 7, features))


def test_default_size() -> None:
    with torch.device("meta"):
        model = TrajectoryModel()
    assert sum(parameter.numel() for parameter in model.parameters()) < 12e6
    assert model.grid_shape == (64, 64)
    assert model.encoding.num_frames == 24


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="100 pixels is no multiple of stride 4 x patch 2 x 2"):
        small_model(size=100)
    with pytest.raises(ValueError, match="3 levels, widths 2"):
        small_model(attention=(True, True, True))
    with pytest.raises(ValueError, match="power of two"):
        small_model(stride=3, patch=1, size=96)
    with pytest.raises(ValueError, match=r"\[1, 3, 32, 32\], not \[b, 3, 64, 64\]"):
        small_model().encode_image(torch.zeros(1, 3, 32, 32))
