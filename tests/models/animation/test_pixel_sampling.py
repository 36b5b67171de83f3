"""Sampling with a model that knows the answer, and what stays the same whatever the blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
)
from torch import Tensor

from models.animation.motion_field import grid_centers
from models.animation.pixel_inputs import carry
from models.animation.pixel_model import PixelModel, pixel_scheduler
from models.animation.pixel_sampling import sample_pixels

FRAMES, SIZE = 5, 32


class Knowing(PixelModel):
    """Knows the clip by heart, and finds the noise by taking the true frame away."""

    truth: Tensor
    batches: list[int]

    def forward(self, noisy: Tensor, timestep: Any, *known: Tensor) -> Tensor:
        start = 1 + sum(self.batches) % (FRAMES - 1)
        self.batches.append(len(noisy))
        clean = self.truth[start : start + len(noisy)]
        signal, noise = self.levels(torch.as_tensor(timestep).reshape(1))
        return (noisy[:, 3:6] - signal * clean) / noise


def knowing() -> Knowing:
    model = Knowing(feature_channels=8, block_out_channels=(16,), attention_head_dim=16)
    model.truth = torch.rand(FRAMES, 3, SIZE, SIZE) * 1.8 - 0.9
    model.batches = []
    return model


def motion() -> tuple[Tensor, Tensor]:
    points = grid_centers(8, 8, torch.zeros(1)) * 4
    steps = torch.arange(float(FRAMES))[:, None, None, None]
    return points + 2 * steps, torch.ones(FRAMES, 8, 8)


def trained() -> PixelModel:
    """Answers at random, but does answer."""
    torch.manual_seed(3)
    model = PixelModel(feature_channels=8, block_out_channels=(16, 16), attention_head_dim=16)
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.1)
    return model.eval()


SCHEDULERS = {
    "ddim": lambda: DDIMScheduler.from_config(pixel_scheduler().config),
    "dpm-solver++": lambda: DPMSolverMultistepScheduler.from_config(pixel_scheduler().config),
    "dpm-solver++ first order": lambda: DPMSolverMultistepScheduler.from_config(
        pixel_scheduler().config, solver_order=1
    ),
}


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS.keys())
@pytest.mark.parametrize("steps", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("strength", [1.0, 0.55])
def test_a_model_that_knows_the_answer_is_recovered(make: Any, steps: int, strength: float) -> None:
    model = knowing()
    tracks, visible = motion()
    drawn = sample_pixels(
        model, make(), model.truth[:1], tracks, visible, steps=steps, strength=strength
    )
    # The first step sees 20,000 times as much noise as signal, in float32.
    torch.testing.assert_close(drawn, model.truth, atol=1e-2 if steps == 1 else 1e-3, rtol=0)
    assert sum(model.batches) == steps * (FRAMES - 1)


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS.keys())
def test_blocks_of_frames_give_what_the_whole_gives(make: Any) -> None:
    model, (tracks, visible) = trained(), motion()
    image = torch.rand(1, 3, SIZE, SIZE)
    drawn = [
        sample_pixels(
            model,
            make(),
            image,
            tracks,
            visible,
            steps=3,
            frame_batch=batch,
            generator=torch.Generator().manual_seed(5),
        )
        for batch in (1, 3, 100)
    ]
    torch.testing.assert_close(drawn[0], drawn[2], atol=1e-4, rtol=0)
    torch.testing.assert_close(drawn[1], drawn[2], atol=1e-4, rtol=0)


def test_the_first_frame_is_the_photo_and_the_generator_decides_the_rest() -> None:
    model, (tracks, visible) = trained(), motion()
    image = torch.rand(1, 3, SIZE, SIZE)

    def draw(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return sample_pixels(
            model, SCHEDULERS["ddim"](), image, tracks, visible, steps=2, generator=generator
        )

    first = draw(1)
    assert first.shape == (FRAMES, 3, SIZE, SIZE)
    assert torch.equal(first[:1], image)
    assert first.abs().max() <= 1
    assert torch.equal(first, draw(1))
    assert not torch.equal(first, draw(2))


def test_a_low_strength_stays_near_the_warp() -> None:
    model = PixelModel(feature_channels=8, block_out_channels=(16,), attention_head_dim=16)
    tracks, visible = motion()
    image = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4), SIZE, mode="bicubic")
    warped = carry(
        image.expand(FRAMES, -1, -1, -1), torch.zeros(FRAMES, 1, 16, 16), tracks, visible
    ).warped
    errors = []
    for strength in (0.02, 0.05, 0.2):
        drawn = sample_pixels(
            model, SCHEDULERS["ddim"](), image, tracks, visible, steps=4, strength=strength
        )
        errors.append(float((drawn - warped).square().mean()))
    assert errors[0] < errors[1] < errors[2]
    assert errors[0] < 2e-3


def test_a_scheduler_that_draws_noise_uses_the_generator() -> None:
    model, (tracks, visible) = trained(), motion()
    scheduler = DDPMScheduler.from_config(pixel_scheduler().config)
    image = torch.rand(1, 3, SIZE, SIZE)
    drawn = [
        sample_pixels(
            model,
            scheduler,
            image,
            tracks,
            visible,
            steps=3,
            generator=torch.Generator().manual_seed(7),
        )
        for _ in range(2)
    ]
    assert torch.equal(*drawn)


def test_callback_comes_after_every_step() -> None:
    seen: list[tuple[int, int]] = []
    model, (tracks, visible) = trained(), motion()

    def note(step: int, timestep: Any, noisy: Tensor) -> None:
        seen.append((step, int(timestep)))
        assert noisy.shape == (FRAMES, 3, SIZE, SIZE)

    image = torch.rand(1, 3, SIZE, SIZE)
    sample_pixels(model, SCHEDULERS["ddim"](), image, tracks, visible, steps=4, callback=note)
    assert [step for step, _ in seen] == [0, 1, 2, 3]
    assert [t for _, t in seen] == sorted((t for _, t in seen), reverse=True)
    assert seen[0][1] == 999


def test_one_frame_is_the_photo() -> None:
    image = torch.rand(1, 3, SIZE, SIZE)
    tracks, visible = motion()
    drawn = sample_pixels(trained(), SCHEDULERS["ddim"](), image, tracks[:1], visible[:1])
    assert torch.equal(drawn, image)


@pytest.mark.parametrize(
    "scheduler, settings, message",
    [
        (DDIMScheduler(prediction_type="sample"), {}, 'set prediction_type="epsilon"'),
        (DDIMScheduler(beta_schedule="linear"), {}, "beta_schedule 'linear'"),
        (DDIMScheduler(num_train_timesteps=50), {}, "num_train_timesteps 50"),
        (EulerDiscreteScheduler.from_config(pixel_scheduler().config), {}, "DPM-Solver"),
        (SCHEDULERS["ddim"](), {"steps": 0}, "steps is 0"),
        (SCHEDULERS["ddim"](), {"strength": 0.0}, "strength 0.0"),
        (SCHEDULERS["ddim"](), {"strength": 1.5}, "strength 1.5"),
    ],
)
def test_what_cannot_work_is_refused(
    scheduler: Any, settings: dict[str, Any], message: str
) -> None:
    tracks, visible = motion()
    image = torch.rand(1, 3, SIZE, SIZE)
    with pytest.raises(ValueError, match=message):
        sample_pixels(trained(), scheduler, image, tracks, visible, **settings)
