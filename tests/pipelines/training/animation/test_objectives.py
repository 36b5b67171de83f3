"""What the models are shown in training."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.training.animation.clips import to_grid
from pipelines.training.animation.config import PixelRun, TrajectoryRun
from pipelines.training.animation.loader import Batch
from pipelines.training.animation.pixel import PixelObjective, bare_warp
from pipelines.training.animation.trajectory import TrajectoryObjective
from tests.pipelines.training.animation.animation_makers import (
    FRAMES,
    GRID,
    MODELS,
    SHAPE,
    SIZE,
    grid_clip,
    picture,
)

_STEP = (2.0, 0.0)


def batch(at: int) -> Batch:
    """One clip whose picture moves by `_STEP`, as the pixel model learns from it."""
    grid = to_grid(grid_clip("/v/a.mp4", velocity=_STEP), SHAPE)
    times = (0, at - 1, at, min(at + 1, FRAMES - 1))
    frames = np.stack([picture(_STEP, t) for t in times])
    return Batch(
        torch.from_numpy(frames)[None],
        torch.tensor([times]),
        torch.from_numpy(grid.tracks)[None],
        torch.from_numpy(grid.visible)[None],
    )


class Watched:
    """Stands between the loss and the model."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.seen: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, *words: Any) -> Any:
        self.seen = words
        return self.model(*words)


def pixel_objective(crop: int = 0) -> tuple[PixelObjective, Watched]:
    config = PixelRun(num_frames=FRAMES, size=SIZE, grid=GRID, model=MODELS["pixel"], crop=crop)
    objective = PixelObjective(config)
    watched = Watched(objective.model)
    objective._denoiser = watched
    return objective, watched


def pixels(t: int) -> torch.Tensor:
    return torch.from_numpy(picture(_STEP, t)).permute(2, 0, 1).float() / 127.5 - 1


@pytest.mark.parametrize("at", [1, 2, FRAMES - 1])
def test_the_pixel_model_sees_three_frames_and_the_first_one_carried(at: int) -> None:
    objective, watched = pixel_objective()
    torch.manual_seed(0)
    loss = objective(batch(at))["loss"]
    assert loss.isfinite()
    noisy, timestep, warped, covered, _ = watched.seen
    signal, amount = objective.model.levels(timestep)
    after = min(at + 1, FRAMES - 1)
    noise = [
        (noisy[0, 3 * k : 3 * k + 3] - signal[0] * pixels(t)) / amount[0]
        for k, t in enumerate((at - 1, at, after))
    ]
    for one in noise:
        assert abs(float(one.mean())) < 0.1
        assert float(one.std()) == pytest.approx(1, abs=0.1)
    assert not torch.allclose(noise[0], noise[1], atol=0.1)
    # As in sampling, where the last noisy frame is repeated.
    assert torch.allclose(noise[1], noise[2], atol=1e-3) == (at == FRAMES - 1)
    # Away from the border that the picture comes in from, the carried frame is the filmed one.
    inner = np.s_[:, 8:-8, 8 + 2 * at : -8]
    assert float((warped[0] - pixels(at))[inner].abs().mean()) < 0.05
    assert covered[0][inner].min() == 1


def test_a_crop_is_the_same_square_of_everything() -> None:
    objective, watched = pixel_objective(crop=16)
    whole, found = pixels(2), set()
    for seed in range(12):
        torch.manual_seed(seed)
        objective(batch(2))
        noisy, timestep, warped, covered, features = watched.seen
        assert noisy.shape == (1, 9, 16, 16)
        assert features.shape == (1, 8, 8, 8)
        squares = {
            (y, x): whole[:, y : y + 16, x : x + 16]
            for y in range(0, 17, 4)
            for x in range(0, 17, 4)
        }
        seen = covered[0, 0] > 0
        apart = {at: (warped[0] - square)[:, seen].abs().mean() for at, square in squares.items()}
        place = min(apart, key=lambda at: float(apart[at]))
        found.add(place)
        signal, amount = objective.model.levels(timestep)
        if float(amount) > 0.5:
            noise = (noisy[0, 3:6] - signal[0] * squares[place]) / amount[0]
            assert float(noise.std()) == pytest.approx(1, abs=0.15)
    assert len(found) > 4
    with pytest.raises(ValueError, match="crop is 18: must be a multiple of 4"):
        pixel_objective(crop=18)


def test_the_trajectory_model_sees_the_first_frame_and_noisy_trajectories() -> None:
    config = TrajectoryRun(num_frames=FRAMES, size=SIZE, grid=GRID, model=MODELS["trajectory"])
    loss = dataclasses.replace(config.loss, drop_image=1.0)
    objective = TrajectoryObjective(dataclasses.replace(config, loss=loss))
    watched = Watched(objective.model)
    objective._denoiser = watched
    torch.manual_seed(0)
    given = batch(2)
    terms = {name: value.item() for name, value in objective(given).items()}
    parts = terms["position"] + terms["occlusion"] + terms["smoothness"]
    assert terms["loss"] == pytest.approx(parts, rel=1e-5)
    noisy, timestep, features, drop = watched.seen
    assert noisy.shape == (1, 3 * FRAMES, GRID, GRID)
    assert bool(drop.all())
    assert 0 <= int(timestep) < 1000
    expected = objective.model.encode_image(pixels(0)[None])
    assert torch.allclose(features, expected, atol=1e-6)


def test_a_bare_warp_follows_the_tracks() -> None:
    grid = to_grid(grid_clip("/v/a.mp4", velocity=_STEP), SHAPE)
    frames = bare_warp(picture(_STEP, 0), grid)
    assert frames.shape == (FRAMES, SIZE, SIZE, 3)
    np.testing.assert_array_equal(frames[0], picture(_STEP, 0))
    for t in range(1, FRAMES):
        error = frames[t].astype(float) - picture(_STEP, t)
        assert np.abs(error[4:-4, 4 + 2 * t : -4]).mean() < 6
