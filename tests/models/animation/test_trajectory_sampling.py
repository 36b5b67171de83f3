"""Sampling: a model that knows the answer is recovered, controls are met, seeds repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from models.animation import (
    Controls,
    Drag,
    Pin,
    sample_trajectories,
    trajectory_scheduler,
)
from tests.models.animation.small_animation import (
    FRAMES,
    GRID,
    SIZE,
    Oracle,
    moved,
    shake,
    small_model,
    start_points,
    turned,
)
from tests.models.animation.test_controls import place

SCHEDULERS = pytest.mark.parametrize(
    "kind",
    [
        DDIMScheduler,
        DDPMScheduler,
        DPMSolverMultistepScheduler,
        EulerDiscreteScheduler,
        UniPCMultistepScheduler,
    ],
)
IMAGE = torch.zeros(1, 3, SIZE, SIZE)


def scheduler(kind: Any = DDIMScheduler) -> Any:
    return kind.from_config(trajectory_scheduler().config)


def sample(model: Any, seed: int = 0, **arguments: Any) -> tuple[Tensor, Tensor]:
    arguments = {"steps": 5, "generator": torch.Generator().manual_seed(seed), **arguments}
    return sample_trajectories(model, arguments.pop("scheduler", scheduler()), IMAGE, **arguments)


@SCHEDULERS
@pytest.mark.parametrize("diffused", ["state", "encoding"])
@pytest.mark.parametrize("steps", [1, 6])
def test_a_model_that_knows_the_answer_is_recovered(kind: Any, diffused: str, steps: int) -> None:
    tracks = turned(70)
    visible = ((tracks >= 0) & (tracks <= SIZE)).all(dim=2)
    # What is hidden is not recovered: it waits where it was seen last.
    model = Oracle(tracks, visible, diffused=diffused)
    found, probability = sample(model, scheduler=scheduler(kind), steps=steps, num_samples=2)
    assert found.shape == (2, FRAMES, 2, GRID, GRID)
    error = (found - tracks).norm(dim=2)
    assert error[visible.expand_as(error)].max() < 0.05
    torch.testing.assert_close(probability > 0.5, visible.expand_as(probability))


def test_guidance_moves_away_from_the_prediction_without_the_image() -> None:
    """At guidance g the result is without + g (with - without), in the state."""

    class Halved(Oracle):
        def __call__(self, noisy: Tensor, timestep: Any, features: Tensor, drop: Any = None) -> Any:
            clean = super().__call__(noisy, timestep, features)
            return clean if drop is None else torch.where(drop[:, None, None, None], 0.5, 1) * clean

    model = Halved(moved(3, 0))
    # Displacement is compressed by asinh; the softness of the last frame is one pixel.
    compressed = np.arcsinh(3.0)
    for guidance, expected in ((1.0, 1.0), (0.0, 0.5), (2.0, 1.5)):
        found, _ = sample(model, guidance=guidance)
        last = (found - start_points())[0, -1, 0]
        assert last.mean().item() == pytest.approx(np.sinh(expected * compressed), rel=1e-3)


def test_seeds() -> None:
    model = shake(small_model())
    first, _ = sample(model, 1, num_samples=2)
    torch.testing.assert_close(sample(model, 1, num_samples=2)[0], first)
    assert (first[0] - first[1]).abs().max() > 0.1
    assert (sample(model, 2, num_samples=2)[0] - first).abs().max() > 0.1
    # With a generator each, a sample does not depend on how many are drawn with it.
    generators = [torch.Generator().manual_seed(seed) for seed in (7, 8)]
    pair, _ = sample(model, num_samples=2, generator=generators)
    alone, _ = sample(model, num_samples=1, generator=torch.Generator().manual_seed(8))
    torch.testing.assert_close(pair[1:], alone, atol=1e-2, rtol=1e-3)


def test_starts_where_the_picture_does() -> None:
    tracks, visible = sample(shake(small_model()))
    torch.testing.assert_close(tracks[:, 0], start_points())
    assert (visible[:, 0] == 1).all()
    assert visible.min() >= 0
    assert visible.max() <= 1


def test_callback_sees_every_step() -> None:
    steps: list[tuple[int, int]] = []

    def note(step: int, timestep: Any, state: Tensor) -> None:
        assert state.shape == (1, 3 * FRAMES, GRID, GRID)
        steps.append((step, int(timestep)))

    sample(small_model(), steps=4, callback=note)
    assert steps == [(0, 999), (1, 749), (2, 499), (3, 249)]


DRAGS = (Drag(20, 20, 44, 26), Drag(48, 50, 40, 30))
PINS = (Pin(10, 50), Pin(50, 12))


@pytest.mark.parametrize("diffused", ["state", "encoding"])
@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("knows", [False, True])
def test_drags_arrive_and_pins_hold(knows: bool, strength: float, diffused: str) -> None:
    """On 256 pixels 4 and 1 are asked for: a quarter of that here."""
    model: Any = shake(small_model(diffused=diffused), 0.1)
    if knows:
        model = Oracle(turned(40), diffused=diffused)
    controls = Controls(DRAGS, PINS, strength=strength)
    tracks, _ = sample(model, controls=controls, num_samples=2, scheduler=scheduler())
    ends = [place(tracks, d.x0, d.y0)[:, -1] - torch.tensor([d.x1, d.y1]) for d in DRAGS]
    assert torch.stack(ends).norm(dim=-1).mean() < 1
    for pin in PINS:
        assert (place(tracks, pin.x, pin.y) - torch.tensor([pin.x, pin.y])).norm(
            dim=-1
        ).max() < 0.25
    torch.testing.assert_close(tracks[:, 0], start_points().expand_as(tracks[:, 0]))


def test_drag_at_full_size() -> None:
    """256 pixels and a grid of 64 x 64: 4 pixels for drags, 1 for pins."""
    model: Any = Oracle(moved(30, 10, 24, 256, 64), size=256)
    controls = Controls((Drag(120, 80, 180, 60),), (Pin(40, 200),))
    image = torch.zeros(1, 3, 256, 256)
    tracks, _ = sample_trajectories(model, scheduler(), image, steps=3, controls=controls)
    end = place(tracks, 120, 80, 256)[0, -1] - torch.tensor([180.0, 60.0])
    assert end.norm() < 0.5
    assert (place(tracks, 40, 200, 256) - torch.tensor([40.0, 200.0])).norm(dim=-1).max() < 0.5
    # Far from both, the picture does what the model knows.
    free = place(tracks, 240, 240, 256)[0, -1] - 240
    assert (free - torch.tensor([30.0, 10.0])).norm() < 12


def test_the_network_is_shown_the_drag() -> None:
    """A model whose picture moves as one follows a drag as a whole, far from the point, too."""

    class Rigid(Oracle):
        def __call__(self, noisy: Tensor, timestep: Any, features: Tensor, drop: Any = None) -> Any:
            ratio = scheduler().alphas_cumprod[int(timestep)].sqrt()
            shown = (noisy / ratio).mean(dim=(2, 3), keepdim=True)
            if ratio**2 * GRID**2 < 1:  # nothing to be seen yet
                shown = torch.zeros_like(shown)
            occlusion, relative = self.encoding.split(shown.expand_as(noisy))
            return self.encoding.join(torch.full_like(occlusion, -1.0), relative)

    model = Rigid(moved(0, 0))
    controls = Controls((Drag(20, 20, 32, 20),))
    corner = place(sample(model, controls=controls, guidance=1.0, steps=20)[0], 60, 60)[0, -1] - 60
    assert corner[0] > 3
    assert abs(corner[1]) < 1


def test_strength_scales_and_stops() -> None:
    model = shake(small_model())
    plain, _ = sample(model, controls=Controls())
    free, _ = sample(model)
    torch.testing.assert_close(plain, free, atol=1e-3, rtol=1e-3)
    doubled, _ = sample(model, controls=Controls(strength=2.0))
    start = start_points()
    torch.testing.assert_close(doubled - start, 2 * (plain - start), atol=1e-3, rtol=1e-3)
    still, visible = sample(model, controls=Controls(strength=0.0))
    torch.testing.assert_close(still, start.expand_as(still))
    assert (visible == 1).all()


def test_loop_and_mask() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[: SIZE // 2] = True
    model = shake(small_model(), 0.2)
    tracks, visible = sample(model, controls=Controls(loop=True, still=mask))
    assert not (tracks - start_points())[..., : GRID // 2, :].any()
    assert (visible[..., : GRID // 2, :] == 1).all()
    displacement = tracks - start_points()
    assert displacement.abs().max() > 0.5
    closing = displacement[:, -1].norm(dim=1).max()
    assert closing <= tracks.diff(dim=1).norm(dim=2).max() + 1e-4


def test_bad_arguments() -> None:
    model = small_model()
    with pytest.raises(ValueError, match='prediction_type="sample"'):
        sample(model, scheduler=DDIMScheduler(clip_sample=False))
    with pytest.raises(ValueError, match="clip_sample=False"):
        sample(model, scheduler=DDIMScheduler(prediction_type="sample"))
    with pytest.raises(ValueError, match="must be at least 1"):
        sample(model, steps=0)
    with pytest.raises(ValueError, match="outside the image of 64x64"):
        sample(model, controls=Controls((Drag(100, 5, 6, 7),)))
    with pytest.raises(ValueError, match=r"\[1, 3, 32, 32\]"):
        sample_trajectories(model, scheduler(), torch.zeros(1, 3, 32, 32))
