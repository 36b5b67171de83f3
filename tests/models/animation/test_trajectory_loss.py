"""The training loss, against its definition and on motions that a tiny model must learn."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from models.animation import (
    TrajectoryEncoding,
    TrajectoryLossConfig,
    TrajectoryModel,
    denoising_loss,
    sample_trajectories,
    trajectory_scheduler,
)
from models.animation.trajectory_loss import trajectory_loss
from models.animation.trajectory_noise import draw_timesteps, signal_to_noise
from tests.models.animation.small_animation import FRAMES, GRID, SIZE, moved, small_model

ENCODING = TrajectoryEncoding(FRAMES, SIZE)
PLAIN = TrajectoryLossConfig(snr_gain=0.0, smoothness_weight=1.0, occlusion_weight=1.0)
NOISE_ONLY = torch.zeros(1)


def truth(hidden: Tensor | None = None) -> Tensor:
    tracks = moved(8, 0)
    visible = torch.ones(1, FRAMES, GRID, GRID, dtype=torch.bool)
    return ENCODING.to_state(tracks, visible if hidden is None else ~hidden)


def with_error(state: Tensor, error: Tensor) -> Tensor:
    occlusion, relative = ENCODING.split(state)
    return ENCODING.join(occlusion, relative + error)


def test_nothing_to_complain_about() -> None:
    assert trajectory_loss(truth(), truth(), ENCODING, NOISE_ONLY).total == 0


def test_even_error_costs_its_square_and_no_smoothness() -> None:
    loss = trajectory_loss(with_error(truth(), torch.tensor(0.5)), truth(), ENCODING, NOISE_ONLY)
    assert loss.position.item() == pytest.approx(0.25)
    assert loss.smoothness.item() == pytest.approx(0, abs=1e-9)
    assert loss.occlusion == 0


def test_the_first_frame_is_not_learned() -> None:
    error = torch.zeros(1, FRAMES, 2, GRID, GRID)
    error[:, 0] = 3
    loss = trajectory_loss(with_error(truth(), error), truth(), ENCODING, NOISE_ONLY, PLAIN)
    assert loss.position == 0


def test_trembling_costs_more_than_drift() -> None:
    """A checkerboard in space and time, next to an even error of the same size."""
    t, i, j = torch.meshgrid(*(torch.arange(n) for n in (FRAMES, GRID, GRID)), indexing="ij")
    sign = (1 - 2 * ((t + i + j) % 2)).float()[None, :, None]
    loss = trajectory_loss(with_error(truth(), 0.5 * sign), truth(), ENCODING, NOISE_ONLY, PLAIN)
    assert loss.position.item() == pytest.approx(0.25)
    assert loss.smoothness.item() == pytest.approx(1.0)


def test_hidden_points_weigh_little() -> None:
    hidden = torch.zeros(1, FRAMES, GRID, GRID, dtype=torch.bool)
    hidden[:, 4:, :8] = True
    state = truth(hidden)
    error = torch.where(hidden, 2.0, 0.0)[:, :, None]
    weight = 0.1
    config = dataclasses.replace(PLAIN, occluded_weight=weight)
    loss = trajectory_loss(with_error(state, error), state, ENCODING, NOISE_ONLY, config)
    counted = int(hidden[:, 1:].sum()), int((~hidden)[:, 1:].sum())
    expected = weight * counted[0] * 4 / (weight * counted[0] + counted[1])
    assert loss.position.item() == pytest.approx(expected, rel=1e-5)
    # A seen point next to a hidden one is no pair.
    assert loss.smoothness == 0
    none = dataclasses.replace(PLAIN, occluded_weight=0.0)
    assert trajectory_loss(with_error(state, error), state, ENCODING, NOISE_ONLY, none).total == 0


def test_occlusion_term() -> None:
    occlusion, relative = ENCODING.split(truth())
    wrong = occlusion.clone()
    wrong[:, 1:] = 1
    loss = trajectory_loss(ENCODING.join(wrong, relative), truth(), ENCODING, NOISE_ONLY, PLAIN)
    assert loss.total.item() == pytest.approx(4.0)


def test_weight_of_noise() -> None:
    clean = with_error(truth(), torch.tensor(1.0))
    config = dataclasses.replace(PLAIN, snr_gain=10.0, snr_cap=4.0)
    for snr, weight in ((0.0, 1.0), (0.2, 3.0), (7.0, 5.0)):
        loss = trajectory_loss(clean, truth(), ENCODING, torch.tensor([snr]), config)
        assert loss.position.item() == pytest.approx(weight)


def test_features_count_where_they_are_diffused() -> None:
    encoding = TrajectoryEncoding(FRAMES, SIZE, diffused="encoding")
    clean = encoding.diffuse(truth())
    assert trajectory_loss(clean, truth(), encoding, NOISE_ONLY).total == 0
    frames = clean.unflatten(1, (FRAMES, 37)).clone()
    frames[:, 1:, 3:] += 0.5
    loss = trajectory_loss(frames.flatten(1, 2), truth(), encoding, NOISE_ONLY, PLAIN)
    assert loss.total.item() == pytest.approx(0.25)
    assert loss.position == 0


def test_schedule_ends_in_noise_that_hides_the_motion_of_the_whole_picture() -> None:
    scheduler = trajectory_scheduler()
    snr = signal_to_noise(scheduler, torch.tensor([0, 999]))
    assert snr[0] > 1e3
    values = 24 * 64 * 64
    assert snr[1] * values < 0.02
    assert (scheduler.alphas_cumprod.diff() < 0).all()
    # DDIM's 20 steps meet the range in which that motion is settled more than once.
    sampler = DDIMScheduler.from_config(scheduler.config)
    sampler.set_timesteps(20)
    ratio = (signal_to_noise(scheduler, sampler.timesteps) * values).sqrt()
    assert ((ratio > 0.1) & (ratio < 10)).sum() >= 5


def test_timesteps_cover_the_schedule() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = draw_timesteps(10, trajectory_scheduler(), generator)
    assert ((drawn // 100) == torch.arange(10)).all()
    many = draw_timesteps(5000, trajectory_scheduler(), generator)
    assert (many.min(), many.max()) == (0, 999)


def red_and_blue() -> tuple[Tensor, Tensor, Tensor]:
    """A red picture goes left, a blue one right; points that leave are hidden."""
    image = torch.full((2, 3, SIZE, SIZE), -1.0)
    image[0, 0], image[1, 2] = 1, 1
    tracks = torch.cat((moved(-12, 0), moved(12, 0)))
    return image, tracks, ((tracks >= 0) & (tracks <= SIZE)).all(dim=2)


def train(model: TrajectoryModel, steps: int, rate: float = 1e-3) -> list[float]:
    image, tracks, visible = (value.repeat_interleave(2, 0) for value in red_and_blue())
    scheduler, generator = trajectory_scheduler(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.99))
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 20) * (1 - step / steps) ** 0.5
        loss = denoising_loss(model, scheduler, image, tracks, visible, generator=generator).total
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("diffused", ["state", "encoding"])
def test_loss_falls(diffused: str) -> None:
    losses = train(small_model(diffused=diffused).train(), 60)
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8])


@pytest.mark.slow
@pytest.mark.parametrize("diffused", ["state", "encoding"])
def test_learns_which_picture_goes_where(diffused: str) -> None:
    model = small_model(diffused=diffused)
    losses = train(model.train(), 350)
    assert sum(losses[-20:]) < 0.05 * sum(losses[:20])
    image, truth_tracks, visible = red_and_blue()
    scheduler = DDIMScheduler.from_config(trajectory_scheduler().config)
    for index in range(2):
        tracks, seen = sample_trajectories(
            model.eval(),
            scheduler,
            image[index : index + 1],
            num_samples=3,
            steps=10,
            generator=torch.Generator().manual_seed(5),
        )
        error = (tracks - truth_tracks[index]).norm(dim=2)
        assert error[visible[index].expand_as(error)].mean() < 2
        travelled = (tracks[:, -1] - tracks[:, 0])[:, 0, :, GRID // 4 : -GRID // 4].mean(dim=(1, 2))
        expected = (-12, 12)[index]
        assert (travelled - expected).abs().max() < 3
        assert ((seen > 0.5) == visible[index]).float().mean() > 0.98
