"""The dense matching loss against values worked out by hand."""

from __future__ import annotations

import math

import torch

from models.tapir.matching_loss import matching_loss

# One frame of 2 x 2 cells, each with a feature of its own.
GRID = torch.eye(4).view(1, 1, 2, 2, 4)
CENTRE = torch.tensor([[[0.0, 0.5, 0.5]]])  # (t, y, x): the first cell


def loss(x: float, y: float, *, hidden: bool = False, temperature: float = 1.0) -> float:
    tracks = torch.tensor([[[[x, y]]]])
    occluded = torch.tensor([[[hidden]]])
    return float(matching_loss(GRID, CENTRE, tracks, occluded, temperature))


def total(temperature: float = 1.0) -> float:
    """Logarithm of the sum over the cells: one is alike, three are not."""
    return math.log(math.exp(temperature) + 3)


def test_the_right_cell() -> None:
    assert math.isclose(loss(0.5, 0.5), total() - 1, rel_tol=1e-6)
    assert loss(0.5, 0.5, temperature=20.0) < 1e-6


def test_a_wrong_cell() -> None:
    assert math.isclose(loss(1.5, 0.5), total(), rel_tol=1e-6)
    assert math.isclose(loss(1.5, 1.5, temperature=20.0), total(20.0), rel_tol=1e-6)


def test_between_cells_the_target_is_shared() -> None:
    assert math.isclose(loss(0.75, 0.5), total() - 0.75, rel_tol=1e-6)
    assert math.isclose(loss(0.75, 0.75), total() - 0.75**2, rel_tol=1e-6)


def test_beyond_the_outer_centres_the_nearest_cell_is_meant() -> None:
    assert math.isclose(loss(0.1, 0.0), total() - 1, rel_tol=1e-6)
    assert math.isclose(loss(1.9, 1.9), total(), rel_tol=1e-6)


def test_hidden_points_count_for_nothing() -> None:
    assert loss(1.5, 1.5, hidden=True) == 0
    tracks = torch.tensor([[[[0.5, 0.5]], [[1.5, 1.5]]]])
    occluded = torch.tensor([[[False], [True]]])
    found = matching_loss(GRID, CENTRE.expand(1, 2, 3), tracks, occluded, 1.0)
    assert math.isclose(float(found), total() - 1, rel_tol=1e-6)


def test_every_frame_has_its_own_target() -> None:
    shifted = GRID.flatten(2, 3).roll(1, dims=2).view(1, 1, 2, 2, 4)  # each feature one cell on
    grid = torch.cat([GRID, shifted], dim=1)
    tracks = torch.tensor([[[[0.5, 0.5], [1.5, 0.5]]]])
    occluded = torch.zeros(1, 1, 2, dtype=torch.bool)
    found = matching_loss(grid, CENTRE, tracks, occluded, 1.0)
    assert math.isclose(float(found), total() - 1, rel_tol=1e-6)


def test_it_teaches_features_to_differ() -> None:
    torch.manual_seed(0)
    raw = torch.randn(1, 3, 4, 4, 8, requires_grad=True)
    steps = torch.optim.Adam([raw], lr=0.05)
    queries = torch.tensor([[[0.0, y + 0.5, x + 0.5] for y in range(4) for x in range(4)]])
    tracks = queries[:, :, None, [2, 1]].expand(1, 16, 3, 2)
    occluded = torch.zeros(1, 16, 3, dtype=torch.bool)
    for _ in range(60):
        found = matching_loss(torch.nn.functional.normalize(raw, dim=-1), queries, tracks, occluded)
        steps.zero_grad()
        found.backward()
        steps.step()
    assert found.item() < 0.05
