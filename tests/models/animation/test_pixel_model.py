"""The pixel model: sizes, what it answers untrained, and that it learns."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.animation.motion_field import grid_centers
from models.animation.pixel_inputs import carry, noisy_triples
from models.animation.pixel_loss import pixel_loss
from models.animation.pixel_model import PixelModel, pixel_scheduler
from models.animation.warp import HIDDEN


def small_model(**changes: object) -> PixelModel:
    torch.manual_seed(0)
    settings: dict[str, object] = {
        "feature_channels": 8,
        "block_out_channels": (16, 32),
        "attention_head_dim": 16,
        **changes,
    }
    return PixelModel(**settings)


def inputs(model: PixelModel, count: int, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    image = torch.rand(count, 3, side, side) * 2 - 1
    covered = (torch.rand(count, 1, side, side) > 0.2).float()
    return torch.randn(count, 9, side, side), image, covered, model.encode_image(image)


def test_default_is_small_enough() -> None:
    with torch.device("meta"):
        model = PixelModel()
        model._levels = torch.zeros(2, 1000)
        arguments = (
            torch.zeros(1, 9, 256, 256),
            torch.zeros(1, dtype=torch.long),
            torch.zeros(1, 3, 256, 256),
            torch.zeros(1, 1, 256, 256),
            torch.zeros(1, 16, 128, 128),
        )
        with FlopCounterMode(display=False) as counter:
            model(*arguments)
    assert sum(p.numel() for p in model.parameters()) <= 8e6
    assert counter.get_total_flops() <= 40e9


def test_untrained_it_takes_the_frame_for_the_warp_and_white_noise() -> None:
    """The best answer to that is linear: see Wiener."""
    model = small_model()
    noisy, warped, covered, features = inputs(model, 2, 32)
    for timestep in (0, 400, 999):
        found = model(noisy, timestep, warped, covered, features)
        signal, noise = model.levels(torch.tensor([timestep]))
        std = model.residual_std(covered)
        wiener = noise / (signal**2 * std**2 + noise**2) * (noisy[:, 3:6] - signal * warped)
        torch.testing.assert_close(found, wiener, atol=1e-4, rtol=1e-4)


def test_holes_are_trusted_less_than_what_was_carried_there() -> None:
    model = small_model(covered_std=0.1, hole_std=0.4)
    std = model.residual_std(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(std, torch.tensor([0.4, 0.2, 0.1]))


def test_timesteps_may_differ_in_a_batch() -> None:
    model = small_model()
    noisy, warped, covered, features = inputs(model, 3, 16)
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.1)
    together = model(noisy, torch.tensor([3, 500, 998]), warped, covered, features)
    for k, timestep in enumerate((3, 500, 998)):
        row = slice(k, k + 1)
        alone = model(noisy[row], timestep, warped[row], covered[row], features[row])
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("height, width", [(16, 16), (32, 48), (64, 20)])
def test_any_sides_that_the_levels_divide(height: int, width: int) -> None:
    model = small_model()
    image = torch.rand(1, 3, height, width)
    found = model(
        torch.rand(1, 9, height, width), 10, image, image[:, :1], model.encode_image(image)
    )
    assert found.shape == (1, 3, height, width)
    assert found.dtype == torch.float32


def test_weight_makes_noise_levels_count_alike() -> None:
    """With the residual as the model supposes it, untrained, the weighted error is 1 everywhere."""
    model, scheduler = small_model(), pixel_scheduler()
    torch.manual_seed(2)
    covered = torch.rand(1, 1, 64, 64)
    std = model.residual_std(covered)
    for timestep in (20, 300, 700, 980):
        at = torch.tensor([timestep])
        warped = torch.rand(1, 3, 64, 64)
        frame = warped + std * torch.randn(1, 3, 64, 64)
        noise = torch.randn(1, 9, 64, 64)
        noisy = scheduler.add_noise(frame.repeat(1, 3, 1, 1), noise, at)
        found = model(noisy, at, warped, covered, model.encode_image(warped))
        error = (model.loss_weight(at, covered) * (found - noise[:, 3:6]).square()).mean().detach()
        assert error.item() == pytest.approx(1, rel=0.1)


def test_levels_are_those_of_the_schedule() -> None:
    model, scheduler = small_model(), pixel_scheduler()
    clean, noise = torch.rand(3, 3, 8, 8), torch.randn(3, 3, 8, 8)
    at = torch.tensor([0, 500, 999])
    signal, amount = model.levels(at)
    torch.testing.assert_close(
        signal * clean + amount * noise, scheduler.add_noise(clean, noise, at)
    )


def test_bfloat16_keeps_the_noise_apart_from_the_network() -> None:
    model = small_model()
    noisy, warped, covered, features = inputs(model, 1, 32)
    exact = model(noisy, 15, warped, covered, features)
    rough = model.to(torch.bfloat16)(noisy, 15, warped, covered, features)
    # Untrained, nothing but the float32 part is left of the answer.
    torch.testing.assert_close(rough, exact, atol=1e-5, rtol=1e-5)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    model = small_model(hole_std=0.3)
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.1)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "config.json").exists()
    assert (tmp_path / "diffusion_pytorch_model.safetensors").exists()
    again = PixelModel.from_pretrained(tmp_path)
    assert again.config.hole_std == 0.3
    noisy, warped, covered, features = inputs(model, 1, 16)
    torch.testing.assert_close(
        again(noisy, 50, warped, covered, again.encode_image(warped)),
        model(noisy, 50, warped, covered, features),
    )


def test_triples_repeat_the_ends() -> None:
    frames = torch.arange(4.0)[:, None, None, None].expand(4, 3, 2, 2)
    triples = noisy_triples(frames)[:, ::3, 0, 0]
    assert triples.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]


def test_carried_inputs_and_their_crops() -> None:
    model = small_model()
    points = grid_centers(8, 8, torch.zeros(1)) * 4
    tracks = (points + torch.tensor([8.0, 0])[:, None, None])[None]
    visible = torch.ones(1, 8, 8)
    visible[0, 2, 2] = 0
    image = torch.rand(1, 3, 32, 32)
    features = model.encode_image(image)
    carried = carry(image, features, tracks, visible)
    torch.testing.assert_close(carried.warped[..., 8:], image[..., :-8], atol=1e-3, rtol=0)
    torch.testing.assert_close(carried.features[..., 4:], features[..., :-4], atol=1e-3, rtol=0)
    assert carried.features[..., :4].abs().max() == 0
    assert carried.covered[..., :8].max() == 0
    assert set(carried.covered.unique().tolist()) <= {0.0, HIDDEN, 1.0}
    crop = carried.crop(top=4, left=10, side=16)
    assert torch.equal(crop.warped, carried.warped[..., 4:20, 10:26])
    assert torch.equal(crop.covered, carried.covered[..., 4:20, 10:26])
    assert torch.equal(crop.features, carried.features[..., 2:10, 5:13])


def clip(frames: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """A textured scene that drifts to the right, brightening: frames, tracks, visibility."""
    centers = grid_centers(size, size, torch.zeros(1))
    grid = grid_centers(size // 4, size // 4, torch.zeros(1)) * 4
    pictures, tracks = [], []
    for t in range(frames):
        x, y = centers[0] - t, centers[1]
        waves = [torch.sin(x / (3 + k)) * torch.cos(y / 5 - k) for k in range(3)]
        pictures.append(0.6 * torch.stack(waves) + 0.3 * math.sin(t / frames * 3))
        tracks.append(grid + torch.tensor([float(t), 0.0])[:, None, None])
    return torch.stack(pictures), torch.stack(tracks), torch.ones(frames, size // 4, size // 4)


def train(model: PixelModel, steps: int, size: int, batch: int, rate: float) -> list[float]:
    torch.manual_seed(0)
    frames, tracks, visible = clip(8, size)
    scheduler = pixel_scheduler()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    triples = noisy_triples(frames)
    losses = []
    for _ in range(steps):
        at = torch.randint(1, 8, (batch,))
        image = frames[:1].expand(batch, -1, -1, -1)
        carried = carry(image, model.encode_image(image), tracks[at], visible[at])
        loss = pixel_loss(model, scheduler, triples[at], carried)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_loss_falls() -> None:
    losses = train(small_model(), steps=40, size=32, batch=4, rate=3e-3)
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])


def test_loss_reaches_the_encoder_of_the_first_frame() -> None:
    model = small_model()
    for parameter in model.parameters():
        if parameter.abs().max() == 0:  # a branch that starts as nothing
            torch.nn.init.normal_(parameter, std=0.1)
    frames, tracks, visible = clip(8, 32)
    carried = carry(frames[:1], model.encode_image(frames[:1]), tracks[3:4], visible[3:4])
    pixel_loss(model, pixel_scheduler(), noisy_triples(frames)[3:4], carried).backward()
    for name, parameter in model.image_encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_one_clip_is_learned() -> None:
    """What the warp cannot know, that the scene brightens, is drawn from noise."""
    from diffusers import DDIMScheduler

    from models.animation.pixel_sampling import sample_pixels

    model = small_model(block_out_channels=(32, 64))
    train(model, steps=250, size=32, batch=8, rate=2e-3)
    frames, tracks, visible = clip(8, 32)
    scheduler = DDIMScheduler.from_config(pixel_scheduler().config)
    drawn = sample_pixels(
        model, scheduler, frames[:1], tracks, visible, generator=torch.Generator().manual_seed(0)
    )
    carried = carry(frames[:1].expand(8, -1, -1, -1), torch.zeros(8, 1, 16, 16), tracks, visible)
    bare = (carried.warped - frames).square().mean()
    assert (drawn - frames).square().mean() < 0.25 * bare
