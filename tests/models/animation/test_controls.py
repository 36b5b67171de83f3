"""Controls: what is refused, and that corrections meet them and are smooth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.animation import Controls, Drag, Pin
from models.animation.motion_constraints import (
    MotionConstraints,
    fade_in,
    forth_and_back,
)
from tests.models.animation.small_animation import FRAMES, GRID, SIZE, moved, start_points

HALF = np.zeros((SIZE, SIZE), bool)
HALF[:, : SIZE // 2] = True


def constraints(size: int = SIZE, grid: int = GRID, **controls: Any) -> MotionConstraints:
    return MotionConstraints(Controls(**controls), FRAMES, size, grid, grid, torch.zeros(1))


def finish(tracks: Tensor, visible: Tensor | None = None, **controls: Any) -> tuple[Tensor, Tensor]:
    visible = torch.ones_like(tracks[:, :, 0]) if visible is None else visible
    return constraints(**controls).finish(tracks, visible)


def place(tracks: Tensor, x: float, y: float, size: int = SIZE) -> Tensor:
    """Where the point that starts at (x, y) is, [b, t, 2], interpolated in the grid."""
    moved_by = (tracks - start_points(1, size, tracks.shape[-1])[0]).flatten(0, 1)
    where = torch.tensor([x, y]).expand(len(moved_by), 1, 1, 2) * 2 / size - 1
    there = F.grid_sample(moved_by, where, padding_mode="border", align_corners=False)
    return there.reshape(*tracks.shape[:2], 2) + torch.tensor([x, y])


def rough(seed: int = 0) -> Tensor:
    """An untrained model's idea of motion: [2, t, 2, h, w]."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(2, FRAMES, 2, GRID, GRID, generator=generator)
    steps[:, 0] = 0
    return start_points()[None] + steps.cumsum(1)


@pytest.mark.parametrize("spot", [(30.0, 20.0), (2.0, 2.0), (31.3, 47.9), (0.0, 64.0)])
@pytest.mark.parametrize("tracks", [moved(0, 0), moved(-20, 9), rough()])
def test_drags_arrive(spot: tuple[float, float], tracks: Tensor) -> None:
    done, _ = finish(tracks, drags=(Drag(*spot, 50, 10),))
    torch.testing.assert_close(
        place(done, *spot)[:, -1],
        torch.tensor([50.0, 10.0]).expand(len(tracks), 2),
        atol=0.05,
        rtol=0,
    )
    torch.testing.assert_close(done[:, 0], tracks[:, 0])


def test_a_dragged_still_picture_moves_evenly() -> None:
    done, _ = finish(moved(0, 0), drags=(Drag(20, 30, 41, 30),))
    path = place(done, 20, 30)[0]
    torch.testing.assert_close(
        path[:, 0], 20 + 21 * torch.linspace(0, 1, FRAMES), atol=0.05, rtol=0
    )
    torch.testing.assert_close(path[:, 1], torch.full((FRAMES,), 30.0), atol=0.05, rtol=0)


def test_pins_hold_in_every_frame() -> None:
    pins = (Pin(10, 10), Pin(50, 33), Pin(63.9, 0.1))
    done, _ = finish(rough(), pins=pins)
    for pin in pins:
        off = place(done, pin.x, pin.y) - torch.tensor([pin.x, pin.y])
        assert off.norm(dim=-1).max() < 0.05


def test_many_controls_at_once() -> None:
    drags = (Drag(16, 16, 26, 20), Drag(48, 40, 40, 52))
    pins = (Pin(22, 16), Pin(48, 44), Pin(5, 60))
    done, _ = finish(rough(), drags=drags, pins=pins)
    for drag in drags:
        end = place(done, drag.x0, drag.y0)[:, -1] - torch.tensor([drag.x1, drag.y1])
        assert end.norm(dim=-1).max() < 0.1
    for pin in pins:
        off = place(done, pin.x, pin.y) - torch.tensor([pin.x, pin.y])
        assert off.norm(dim=-1).max() < 0.1


@pytest.mark.parametrize("length", [4.0, 30.0, 90.0])
def test_a_drag_takes_its_surroundings_along_without_folding(length: float) -> None:
    size, grid = 256, 64
    still = moved(0, 0, FRAMES, size, grid)
    bent = constraints(size, grid, drags=(Drag(80, 130, 80 + length, 130),)).finish(
        still, torch.ones_like(still[:, :, 0])
    )[0]
    moved_by = (bent - still)[0, -1, 0]
    assert moved_by.max() <= 1.02 * length
    assert moved_by.min() >= 0
    near, far = (
        place(bent, 90, 130, size)[0, -1, 0] - 90,
        place(bent, 250, 20, size)[0, -1, 0] - 250,
    )
    assert near > 0.75 * length
    assert far < 0.3 * length
    assert bent[0, -1, 0].diff(dim=1).min() > 0.3 * size / grid  # neighbours keep their order
    assert moved_by.diff(dim=0).abs().max() < 0.75 * size / grid  # nothing is torn


def test_small_corrections_stay_near() -> None:
    done, _ = finish(moved(10, 0), drags=(Drag(30, 30, 40.5, 30),))
    change = (done - moved(10, 0))[0, -1, 0]
    assert change.max() == pytest.approx(0.5, abs=0.05)
    assert change[:, -1].max() < 0.1


def test_strength() -> None:
    tracks = rough()
    doubled, _ = finish(tracks, strength=2.0)
    torch.testing.assert_close(doubled - start_points(), 2 * (tracks - start_points()))
    hidden = torch.zeros_like(tracks[:, :, 0])
    still, visible = finish(tracks, hidden, strength=0.0)
    torch.testing.assert_close(still, start_points().expand_as(tracks))
    assert (visible == 1).all()
    # A drag arrives all the same.
    done, _ = finish(tracks, strength=0.0, drags=(Drag(20, 20, 30, 30),))
    assert (place(done, 20, 20)[:, -1] - 30).abs().max() < 0.05


def test_within_denoising_a_drag_is_short_when_the_motion_will_be_strengthened() -> None:
    bend = constraints(strength=2.0, drags=(Drag(20, 20, 40, 20),))
    guided = bend.guide(moved(0, 0))
    assert place(guided, 20, 20)[0, -1, 0] == pytest.approx(30, abs=0.05)
    done, _ = bend.finish(guided, torch.ones_like(guided[:, :, 0]))
    assert place(done, 20, 20)[0, -1, 0] == pytest.approx(40, abs=0.05)


def test_guidance_that_is_met_changes_nothing() -> None:
    bend = constraints(drags=(Drag(20, 20, 32, 20),), pins=())
    tracks = moved(12, 0)
    torch.testing.assert_close(bend.guide(tracks), tracks, atol=1e-3, rtol=0)


def test_mask_keeps_still() -> None:
    hidden = torch.zeros_like(rough()[:, :, 0])
    done, visible = finish(moved(12, -7).expand(2, -1, -1, -1, -1), hidden, still=HALF)
    kept = done[..., : GRID // 2 + 1] - start_points()[..., : GRID // 2 + 1]
    assert not kept.any()
    assert (visible[..., : GRID // 2 + 1] == 1).all()
    assert not visible[..., GRID // 2 + 1 :].any()
    free = done[:, -1, 0, :, GRID // 2 + 4 :] - start_points()[:, 0, :, GRID // 2 + 4 :]
    torch.testing.assert_close(free, torch.full_like(free, 12.0))
    # Motion fades in: no step of more than a third of it.
    assert (done - start_points())[0, -1, 0].diff(dim=1).max() <= 12 / 3


def test_mask_and_drags_together() -> None:
    done, _ = finish(rough(), still=HALF, drags=(Drag(40, 20, 60, 20), Drag(50, 50, 50, 60)))
    assert not (done - start_points())[..., : GRID // 2].any()
    assert (place(done, 40, 20)[:, -1] - torch.tensor([60.0, 20.0])).norm(dim=-1).max() < 0.05
    assert (done - start_points())[:, -1].norm(dim=1).max() < 30
    # A pin in what keeps still anyway is no obstacle.
    pinned, _ = finish(rough(), still=HALF, pins=(Pin(10, 10), Pin(60, 60)))
    assert (place(pinned, 60, 60) - 60).norm(dim=-1).max() < 0.05


@pytest.mark.parametrize("side", [4, 16, 23, 64, 500])
def test_mask_of_any_resolution(side: int) -> None:
    mask = np.zeros((side, side), bool)
    mask[: side // 2] = True
    cells = Controls(still=mask).still_cells(GRID, GRID)
    assert cells[: GRID // 2].all()
    assert not cells[GRID // 2 + 2 :].any()


def test_mask_of_one_pixel_keeps_what_is_around_it() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[21, 40] = True
    cells = Controls(still=mask).still_cells(GRID, GRID)
    assert sorted(map(tuple, np.argwhere(cells).tolist())) == [
        (i, j) for i in (4, 5, 6) for j in (9, 10, 11)
    ]


def test_fade_in() -> None:
    still = torch.zeros(1, 12, dtype=torch.bool)
    still[0, :3] = True
    torch.testing.assert_close(
        fade_in(still, 4)[0], torch.tensor([0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1])
    )


def test_points_outside_the_picture_are_not_seen() -> None:
    tracks = moved(30, 0)
    _, visible = finish(tracks, strength=1.0)
    assert torch.equal(visible > 0.5, ((tracks >= 0) & (tracks <= SIZE)).all(dim=2))


@pytest.mark.parametrize("frames", [2, 7, 8, 24])
def test_loop_has_no_seam(frames: int) -> None:
    values = torch.linspace(0, 1, frames)[None]
    loop = forth_and_back(values)[0]
    assert loop[0] == 0
    assert loop.max() > 0.9  # the turn
    if frames % 2 == 0:
        assert loop[frames // 2] == 1
    torch.testing.assert_close(loop[1:], loop[1:].flip(0))
    # From the last frame on to the first: a step, and a change of step, like any other.
    steps = torch.cat((loop, loop[:2])).diff().abs()
    assert steps[frames - 1] <= steps[: frames - 1].max() + 1e-6
    if frames > 4:
        changes = torch.cat((loop, loop[:2])).diff().diff().abs()
        assert changes[frames - 2 :].max() <= 1.15 * changes[: frames - 2].max()


def test_loop_reaches_the_drag_and_returns() -> None:
    done, _ = finish(rough(), drags=(Drag(20, 30, 40, 40),), pins=(Pin(5, 5),), loop=True)
    path = place(done, 20, 30)
    assert (path[:, FRAMES // 2] - torch.tensor([40.0, 40.0])).norm(dim=-1).max() < 0.05
    assert (place(done, 5, 5) - 5).norm(dim=-1).max() < 0.05
    torch.testing.assert_close(done[:, 1:], done[:, 1:].flip(1), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "controls, message",
    [
        (dict(drags=(Drag(70, 5, 6, 7),)), r"drag 1 starts at \(70, 5\), outside .* 64x64"),
        (dict(drags=(Drag(1, 5, 6, 7), Drag(9, 9, 6, -1))), r"drag 2 ends at \(6, -1\), outside"),
        (dict(drags=(Drag(math.nan, 5, 6, 7),)), "drag 1 starts at"),
        (dict(pins=(Pin(3, 64.5),)), r"pin 1 is at \(3, 64.5\), outside the image of 64x64 pixels"),
        (dict(drags=(Drag(5, 5, 9, 9),), pins=(Pin(5, 6),)), "within 2 pixels of each other"),
        (dict(drags=(Drag(20, 20, 40, 40),), still=HALF), "drag 1 starts at .* mask"),
        (
            dict(drags=(Drag(34, 20, 40, 40),), still=HALF),
            "in or next to what the mask keeps still",
        ),
        (dict(strength=-1.0), "strength is -1"),
        (dict(strength=math.inf), "strength is inf"),
        (dict(still=np.zeros((4, 4, 3), bool)), r"\[4, 4, 3\]"),
    ],
)
def test_what_cannot_be_done_is_refused(controls: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        constraints(**controls)
