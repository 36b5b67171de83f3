"""Motion of pixels from motion of cells."""

from __future__ import annotations

import torch
from torch import Tensor

from models.animation.motion_field import (
    Cells,
    Window,
    cells_of,
    dominant_motion,
    grid_centers,
    pixel_motion,
)

CELLS, STRIDE = 12, 4.0
GRID = grid_centers(CELLS, CELLS, torch.zeros(1))
MATRIX = torch.tensor([[1.1, -0.2], [0.1, 0.9]])


def affine(points: Tensor) -> Tensor:
    return torch.einsum("ij,jhw->ihw", MATRIX, points) + torch.tensor([1.5, -0.5])[:, None, None]


def moved(tracks_in_cells: Tensor) -> Cells:
    return cells_of(STRIDE * tracks_in_cells[None], torch.ones(1, CELLS, CELLS), STRIDE)


def two_halves() -> Tensor:
    """The left half stays, the right half goes 3 cells down."""
    tracks = GRID.clone()
    tracks[1, :, CELLS // 2 :] += 3
    return tracks


def test_dominant_motion_is_that_of_the_majority() -> None:
    displacement = (affine(GRID) - GRID)[None].clone()
    truth = displacement.clone()
    displacement[:, :, 2:8, 3:9] += torch.tensor([6.0, -4.0])[:, None, None]  # a quarter of it
    fitted = dominant_motion(displacement, torch.ones(1, 1, CELLS, CELLS))
    assert (fitted - truth).abs().max() < 0.1


def test_dominant_motion_goes_by_what_is_seen() -> None:
    displacement = torch.zeros(1, 2, CELLS, CELLS)
    displacement[..., :9] = 5
    seen = torch.ones(1, 1, CELLS, CELLS)
    seen[..., :9] = 0
    assert dominant_motion(displacement, seen)[..., 9:].abs().max() < 0.1


def test_affine_motion_is_reproduced_at_every_pixel() -> None:
    motion = pixel_motion(moved(affine(GRID)), (36, 48))
    scale = torch.tensor([48 / CELLS, 36 / CELLS])[:, None, None]
    truth = affine(grid_centers(36, 48, GRID) / scale) * scale
    assert (motion.target[0] - truth).abs().max() < 0.02
    # In pixels of 4 by 3: the off-diagonal terms change with the aspect.
    expected = torch.tensor([1.1, -0.2 * 4 / 3, 0.1 * 3 / 4, 0.9])[:, None, None]
    assert (motion.jacobian[0] - expected).abs().max() < 0.01


def test_a_window_shows_a_part_and_goes_beyond_the_grid() -> None:
    window = Window(-2, 3, 6, 11)
    motion = pixel_motion(moved(affine(GRID)), (32, 32), window=window)
    corner = torch.tensor([window.left, window.top])[:, None, None]
    truth = (affine(grid_centers(32, 32, GRID) / 4 + corner) - corner) * 4
    assert (motion.target[0] - truth).abs().max() < 0.05


def test_a_pixel_at_a_tear_is_on_one_surface() -> None:
    motion = pixel_motion(moved(two_halves()), (48, 48))
    down = motion.target[0, 1] - grid_centers(48, 48, GRID)[1]
    assert torch.minimum(down.abs(), (down - 12).abs()).max() < 0.05
    assert (motion.jacobian[0, 2]).abs().max() < 0.05  # nothing is sheared between the two


def test_a_tear_follows_the_outline_in_the_picture() -> None:
    """The grid puts the edge at pixel 24; in the picture it is at 22 above and at 26 below."""
    guide = torch.full((1, 3, 48, 48), -0.8)
    guide[..., :24, 22:] = 0.8
    guide[..., 24:, 26:] = 0.8
    motion = pixel_motion(moved(two_halves()), (48, 48), guide=guide)
    right = motion.target[0, 1] - grid_centers(48, 48, GRID)[1] > 6
    assert torch.equal(right, guide[0, 0] > 0)


def test_a_guide_changes_nothing_where_motion_is_smooth() -> None:
    cells = moved(affine(GRID))
    guide = torch.rand(1, 3, 48, 48)
    without, with_it = pixel_motion(cells, (48, 48)), pixel_motion(cells, (48, 48), guide=guide)
    assert (without.target - with_it.target).abs().max() < 0.02


def test_hidden_points_take_the_motion_of_the_background() -> None:
    tracks = GRID + torch.tensor([2.0, 1.0])[:, None, None]
    tracks[:, 4:8, 4:6] += 5  # an object beside them goes elsewhere
    hidden = torch.zeros(CELLS, CELLS, dtype=torch.bool)
    hidden[4:8, 6:8] = True
    tracks[:, hidden] += 1.2
    cells = cells_of(STRIDE * tracks[None], (~hidden)[None], STRIDE)
    expected = torch.tensor([2.0, 1.0])[:, None]
    assert (cells.displacement[0][:, hidden] - expected).abs().max() < 0.3
    assert cells.present.min() == 1
    assert cells.visible[0, 0][hidden].max() == 0


def test_hidden_points_that_went_elsewhere_are_not_present() -> None:
    tracks = GRID.clone()
    hidden = torch.zeros(CELLS, CELLS, dtype=torch.bool)
    hidden[4:8, 6:8] = True
    tracks[0][hidden] += 4
    cells = cells_of(STRIDE * tracks[None], (~hidden)[None], STRIDE)
    assert torch.equal(cells.present[0, 0] == 0, hidden)
