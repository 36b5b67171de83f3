"""Warps whose result is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.animation.motion_field import grid_centers
from models.animation.warp import (
    HIDDEN,
    InverseMap,
    inverse_map,
    sample_source,
    warp_to_frame,
)

SIZE, CELLS = 64, 16
SEEN = torch.ones(1, CELLS, CELLS)


def points() -> Tensor:
    return grid_centers(CELLS, CELLS, torch.zeros(1)) * (SIZE / CELLS)


def affine(matrix: list[list[float]], shift: tuple[float, float] = (0, 0)) -> Tensor:
    """Tracks [1, 2, h, w] of a motion about the middle of the picture."""
    moved = torch.einsum("ij,jhw->ihw", torch.tensor(matrix), points() - SIZE / 2)
    return (moved + SIZE / 2 + torch.tensor(shift)[:, None, None])[None]


def rotation(degrees: float) -> list[list[float]]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [[c, -s], [s, c]]


def came_from(matrix: list[list[float]], shift: tuple[float, float]) -> Tensor:
    """Where the pixels of the target were, in source pixels: the closed form."""
    centers = grid_centers(SIZE, SIZE, torch.zeros(1))
    back = centers - SIZE / 2 - torch.tensor(shift)[:, None, None]
    return torch.einsum("ij,jhw->ihw", torch.linalg.inv(torch.tensor(matrix)), back) + SIZE / 2


def texture(channels: int = 3, size: int = SIZE) -> Tensor:
    """Waves of at least 8 pixels of SIZE, the same picture at any size."""
    x, y = grid_centers(size, size, torch.zeros(1)) * (SIZE / size)
    waves = [torch.sin(x / 3 + k) * torch.cos(y / 4 - k) for k in range(channels)]
    return torch.stack(waves)[None]


def test_without_motion_the_source_comes_back() -> None:
    source = torch.rand(1, 3, SIZE, SIZE)
    warped, covered = warp_to_frame(source, points()[None], SEEN)
    torch.testing.assert_close(warped, source, atol=1e-5, rtol=0)
    assert covered.min() == 1


@pytest.mark.parametrize("dx, dy", [(5, 0), (0, -7), (-3, 9)])
def test_whole_pixels_shift_exactly_and_leave_a_clean_hole(dx: int, dy: int) -> None:
    source = torch.rand(1, 2, SIZE, SIZE)
    warped, covered = warp_to_frame(source, affine(rotation(0), (dx, dy)), SEEN)
    expected = torch.roll(source, (dy, dx), (2, 3))
    back = came_from(rotation(0), (dx, dy))
    there = ((back > 0) & (back < SIZE)).all(dim=0).float()[None, None]
    torch.testing.assert_close(covered, there)
    torch.testing.assert_close(warped, expected * there, atol=1e-4, rtol=0)


MOTIONS = {
    "fraction": (rotation(0), (2.3, -1.6)),
    "rotation 10": (rotation(10), (0, 0)),
    "rotation 45": (rotation(45), (0, 0)),
    "rotation 80": (rotation(80), (1.5, 0)),
    "zoom in 1.3": ([[1.3, 0], [0, 1.3]], (0, 0)),
    "zoom in 3": ([[3.0, 0], [0, 3.0]], (0.4, 0)),
    "zoom out": ([[0.6, 0], [0, 0.6]], (0, 0)),
    "stretch": ([[1.8, 0], [0, 0.8]], (0, 0)),
    "shear": ([[1, 0.5], [0, 1]], (0, 0)),
}


@pytest.mark.parametrize("matrix, shift", MOTIONS.values(), ids=MOTIONS.keys())
def test_affine_motion_has_no_cracks_and_is_exact(
    matrix: list[list[float]], shift: tuple[float, float]
) -> None:
    result = inverse_map(affine(matrix, shift), SEEN, (SIZE, SIZE))
    back = came_from(matrix, shift)
    # Up to the border of the source, give or take the pixels that it cuts.
    margin = 0.75 * float(torch.linalg.matrix_norm(torch.linalg.inv(torch.tensor(matrix)), 2))
    inside = ((back > margin) & (back < SIZE - margin)).all(dim=0)
    outside = ((back < -margin) | (back > SIZE + margin)).any(dim=0)
    assert inside.any()
    assert (result.covered[0, 0][inside] == 1).all()
    assert (result.covered[0, 0][outside] == 0).all()
    error = (result.source[0] * SIZE - back).norm(dim=0)[result.covered[0, 0] > 0]
    assert error.max() < 0.02
    warped = sample_source(texture(), result)
    x, y = back
    expected = torch.stack([torch.sin(x / 3 + k) * torch.cos(y / 4 - k) for k in range(3)])
    assert (warped[0] - expected)[:, inside].abs().max() < 0.04  # what bicubic reading may cost


def test_smooth_motion_is_followed_to_a_fraction_of_a_pixel() -> None:
    def sway(p: Tensor) -> Tensor:
        return p + torch.stack((3 * torch.sin(p[1] / 12), 2 * torch.cos(p[0] / 15)))

    result = inverse_map(sway(points())[None], SEEN, (SIZE, SIZE))
    there = sway(result.source[0] * SIZE) - grid_centers(SIZE, SIZE, texture())
    assert there.norm(dim=0)[result.covered[0, 0] > 0].max() < 0.25
    assert (result.covered[0, 0, 6:-6, 6:-6] == 1).all()


def block(columns: slice, rows: slice = slice(4, 12)) -> Tensor:
    mask = torch.zeros(CELLS, CELLS, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


def object_moves(cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tracks, visibility and the object's cells: it goes right by whole cells, the rest stays."""
    mask = block(slice(3, 7))
    tracks = points().clone()
    tracks[0][mask] += cells * SIZE / CELLS
    visible = mask | ~torch.roll(mask, cells, 1)
    return tracks[None], visible[None].float(), mask


def test_an_object_covers_what_it_moves_over_and_uncovers_a_hole() -> None:
    tracks, visible, mask = object_moves(5)
    source = torch.rand(1, 3, SIZE, SIZE)
    warped, covered = warp_to_frame(source, tracks, visible)
    pixels = mask.repeat_interleave(4, 0).repeat_interleave(4, 1)
    arrived = torch.roll(pixels, 20, 1)
    expected = torch.where(arrived, torch.roll(source, 20, 3), source)
    torch.testing.assert_close(covered[0, 0], (~pixels | arrived).float())
    torch.testing.assert_close(warped, expected * covered, atol=1e-3, rtol=0)


def test_where_two_surfaces_are_said_to_be_seen_the_moving_one_is_nearer() -> None:
    tracks, visible, mask = object_moves(5)
    source = torch.zeros(1, 1, SIZE, SIZE)
    source[0, 0][mask.repeat_interleave(4, 0).repeat_interleave(4, 1)] = 1
    warped, _ = warp_to_frame(source, tracks, torch.ones_like(visible))
    assert warped[0, 0, 20:44, 34:46].min() > 0.99


def test_what_is_seen_comes_before_what_is_not() -> None:
    tracks, _, mask = object_moves(1)
    source = torch.zeros(1, 1, SIZE, SIZE)
    source[0, 0][mask.repeat_interleave(4, 0).repeat_interleave(4, 1)] = 1
    behind = (~mask)[None].float()
    warped, covered = warp_to_frame(source, tracks, behind)
    assert warped[0, 0, 18:46, 32:48].max() < 0.01
    assert covered[0, 0, 18:46, 32:48].min() == 1


def test_two_surfaces_that_cross_are_never_mixed() -> None:
    """The left half goes right and the right half left, over each other."""
    left = points()[0] < SIZE / 2
    tracks = points().clone()
    tracks[0] = torch.where(left, tracks[0] + 10, tracks[0] - 10)
    source = torch.where(grid_centers(SIZE, SIZE, tracks)[0] < SIZE / 2, -1.0, 1.0)[None, None]
    warped, covered = warp_to_frame(source, tracks[None], SEEN)
    values = warped[covered > 0].abs()
    assert (values > 0.5).float().mean() > 0.97  # bicubic reading across the source's own edge
    assert covered[0, 0, :, 12:52].min() == 1
    assert covered[0, 0, :, :9].max() == 0
    assert covered[0, 0, :, 55:].max() == 0


def test_everything_has_left() -> None:
    for tracks in (affine(rotation(0), (3 * SIZE, 0)), torch.full((1, 2, CELLS, CELLS), 1e9)):
        warped, covered = warp_to_frame(texture(), tracks, SEEN)
        assert covered.max() == 0
        assert warped.abs().max() == 0


def test_what_is_hidden_by_nothing_is_shown_and_marked() -> None:
    """Nothing is said to be seen, and no motion is known: the source stays."""
    noise = torch.rand(1, 2, CELLS, CELLS)
    warped, covered = warp_to_frame(texture(), points()[None] + 4 * noise, 0 * SEEN)
    assert (covered == HIDDEN).all()
    torch.testing.assert_close(warped, texture(), atol=1e-4, rtol=0)


def test_what_is_hidden_goes_with_what_is_seen_around_it() -> None:
    hidden = block(slice(6, 9), slice(6, 9))
    tracks = affine(rotation(0), (5, 3))
    tracks[0, :, hidden] += 5 * torch.randn(2, 9).clamp(-1, 1)
    source = torch.rand(1, 3, SIZE, SIZE)
    warped, covered = warp_to_frame(source, tracks, (~hidden)[None].float())
    expected = torch.roll(source, (3, 5), (2, 3)) * (covered > 0)
    torch.testing.assert_close(warped, expected, atol=1e-3, rtol=0)
    assert covered[0, 0, 33, 35] == HIDDEN
    assert covered[0, 0, 3:, 5:].min() == HIDDEN
    assert (covered == HIDDEN).sum() < 12 * 12


def test_what_is_hidden_and_has_gone_elsewhere_leaves_a_hole() -> None:
    tracks, _, mask = object_moves(5)
    warped, covered = warp_to_frame(texture(), tracks, (~mask)[None].float())
    assert covered[0, 0, 18:46, 15:25].max() == 0
    assert covered[0, 0, :, 36:].min() == 1
    torch.testing.assert_close(warped[..., 32:], texture()[..., 32:], atol=1e-3, rtol=0)


def test_positions_that_are_not_finite_count_as_hidden() -> None:
    tracks = points()[None].clone()
    tracks[0, :, 7:10, 7:10] = torch.nan
    warped, covered = warp_to_frame(texture(), tracks, SEEN)
    assert warped.isfinite().all()
    assert covered[0, 0, 34, 34] == HIDDEN
    assert covered[0, 0, :24].min() == 1


def test_a_single_point_carries_everything() -> None:
    visible = torch.zeros(1, CELLS, CELLS)
    visible[0, 8, 8] = 1
    source = torch.rand(1, 3, SIZE, SIZE)
    warped, covered = warp_to_frame(source, affine(rotation(0), (6, 2)), visible)
    assert covered[0, 0, 35:39, 39:43].min() == 1
    assert 16 <= (covered == 1).sum() <= 64
    assert covered[0, 0, 2:, 6:].min() == HIDDEN
    expected = torch.roll(source, (2, 6), (2, 3)) * (covered > 0)
    torch.testing.assert_close(warped, expected, atol=1e-3, rtol=0)


def test_an_occluders_outline_may_lie_anywhere_between_two_points() -> None:
    """The object's edge arrives in mid-cell: no gap opens between it and what it hides."""
    tracks, _, mask = object_moves(0)
    tracks[0, 0][mask] += 18.0
    behind = (points()[0] > 28) & (points()[0] < 48) & block(slice(0, CELLS))
    visible = (mask | ~behind)[None].float()
    _, covered = warp_to_frame(texture(), tracks, visible)
    assert covered[0, 0, 20:44, 31:].min() == 1


@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_any_resolution_of_the_source(factor: float) -> None:
    size = int(SIZE * factor)
    matrix, shift = rotation(7), (3.0, -2.0)
    result = inverse_map(affine(matrix, shift), SEEN, (size, size))
    centers = (
        grid_centers(size, size, SEEN) / factor - SIZE / 2 - torch.tensor(shift)[:, None, None]
    )
    back = torch.einsum("ij,jhw->ihw", torch.linalg.inv(torch.tensor(matrix)), centers) + SIZE / 2
    inside = ((back > 2) & (back < SIZE - 2)).all(dim=0)
    assert (result.covered[0, 0][inside] == 1).all()
    assert (result.source[0] * SIZE - back)[:, inside].abs().max() < 0.02
    warped, covered = warp_to_frame(texture(size=size), affine(matrix, shift), SEEN)
    assert warped.shape == (1, 3, size, size)
    assert covered.shape == (1, 1, size, size)


def test_other_strides_and_oblong_grids() -> None:
    rows, cols, stride = 6, 10, 8.0
    grid = grid_centers(rows, cols, torch.zeros(1)) * stride + torch.tensor([8.0, 0])[:, None, None]
    source = torch.rand(1, 3, 48, 80)
    warped, covered = warp_to_frame(source, grid[None], torch.ones(1, rows, cols), stride=stride)
    torch.testing.assert_close(warped[..., 8:], source[..., :-8], atol=1e-4, rtol=0)
    assert covered[..., :8].max() == 0


def test_frames_of_a_batch_do_not_touch() -> None:
    tracks = torch.cat((affine(rotation(0), (4, 0)), affine([[2.0, 0], [0, 2.0]])))
    source = torch.rand(2, 3, SIZE, SIZE)
    both, _ = warp_to_frame(source, tracks, SEEN.expand(2, -1, -1))
    for k in range(2):
        alone, _ = warp_to_frame(source[k : k + 1], tracks[k : k + 1], SEEN)
        torch.testing.assert_close(both[k : k + 1], alone, atol=1e-6, rtol=0)


def test_gradients_reach_the_source_and_only_where_it_is_read() -> None:
    source = torch.rand(1, 4, SIZE, SIZE, requires_grad=True)
    warped, _ = warp_to_frame(source, affine(rotation(0), (SIZE / 2, 0)), SEEN)
    warped.sum().backward()
    assert source.grad is not None
    # What moved out of the picture is not read, and each pixel of the rest is read once.
    assert source.grad[..., SIZE // 2 + 2 :].abs().max() == 0
    assert source.grad[..., 4 : SIZE // 2 - 2].mean() == pytest.approx(1, abs=0.05)


def test_overshoot_is_cut() -> None:
    source = (torch.rand(1, 1, SIZE, SIZE) > 0.5).float()
    warped, _ = warp_to_frame(source, affine(rotation(0), (0.5, 0.5)), SEEN)
    assert warped.min() >= 0
    assert warped.max() <= 1


@pytest.mark.parametrize(
    "tracks, visible",
    [
        (torch.zeros(1, 3, 4, 4), torch.ones(1, 4, 4)),
        (torch.zeros(1, 2, 4, 4), torch.ones(1, 4, 5)),
        (torch.zeros(2, 4, 4), torch.ones(4, 4)),
    ],
)
def test_arrays_that_do_not_belong_together(tracks: Tensor, visible: Tensor) -> None:
    with pytest.raises(ValueError, match=r"tracks must be \[b, 2, h, w\]"):
        inverse_map(tracks, visible, (8, 8))


def test_depth_tells_objects_from_background() -> None:
    tracks, visible, mask = object_moves(5)
    result: InverseMap = inverse_map(tracks, visible, (SIZE, SIZE))
    arrived = torch.roll(mask.repeat_interleave(4, 0).repeat_interleave(4, 1), 20, 1)
    assert result.depth[0, 0][arrived].min() > 4
    assert result.depth[0, 0][~arrived].max() < 0.5
