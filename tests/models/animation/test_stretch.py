"""Motions that would tear a picture are made smaller; others are left alone."""

from __future__ import annotations

import pytest
import torch

from models.animation.stretch import affine_part, limit_stretch, stretch
from tests.models.animation.small_animation import FRAMES, GRID, SIZE, moved, start_points, turned

SEEN = torch.ones(1, FRAMES, GRID, GRID)


@pytest.mark.parametrize("tracks", [moved(5, -3), turned(6)])
def test_motions_of_the_whole_picture_stay(tracks: torch.Tensor) -> None:
    limited, visible = limit_stretch(tracks, SEEN, SIZE, 0.01)
    # Smoothing repeats the border's displacement, so a turn is a little less there.
    inner = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(limited[inner], tracks[inner], atol=0.06, rtol=0)
    assert visible.min() == 1


def test_a_picture_never_leaves() -> None:
    limited, _ = limit_stretch(moved(100, 0), SEEN, SIZE, 0.4)
    end = limited[0, -1] - start_points()[0]
    torch.testing.assert_close(end[0], torch.full((GRID, GRID), 0.15 * SIZE))
    assert end[1].abs().max() < 1e-4


def test_stretch_of_a_wave_is_its_slope() -> None:
    x = start_points()[0, 0]
    wave = torch.zeros(1, 1, 2, GRID, GRID)
    wave[0, 0, 1] = 3 * torch.sin(x / SIZE * 2 * torch.pi)  # up and down along x
    assert stretch(wave, SIZE).item() == pytest.approx(3 * 2 * torch.pi / SIZE, rel=0.05)


def test_what_stretches_too_much_is_scaled_to_the_limit() -> None:
    x = start_points()[0, 0]
    tracks = start_points().repeat(FRAMES, 1, 1, 1)[None].clone()
    time = torch.linspace(0, 1, FRAMES)[:, None, None]
    tracks[0, :, 1] += 30 * time * torch.sin(x / SIZE * 4 * torch.pi)
    hidden = SEEN * 0.2
    limited, visible = limit_stretch(tracks, hidden, SIZE, 0.4)
    rest = limited - start_points()
    whole = affine_part(rest, start_points()[0] / SIZE)
    assert stretch(rest - whole, SIZE).item() == pytest.approx(0.4, rel=0.01)
    assert visible.min() > 0.2  # less motion hides less
    # A gentle one is left as long as it is, but for the smoothing.
    gentle, same = limit_stretch(start_points() + (tracks - start_points()) / 60, hidden, SIZE, 0.4)
    assert (gentle - start_points()).abs().max() > 0.35
    torch.testing.assert_close(same, hidden)


def test_the_affine_part_is_the_best_one() -> None:
    torch.manual_seed(0)
    places = start_points()[0] / SIZE
    noise = torch.randn(1, 2, 2, GRID, GRID)
    part = affine_part(noise, places)
    rest = (noise - part).flatten(-2)
    for basis in (torch.ones(GRID * GRID), places[0].flatten(), places[1].flatten()):
        assert (rest @ basis).abs().max() < 1e-3
    torch.testing.assert_close(affine_part(part, places), part, atol=1e-5, rtol=1e-4)
