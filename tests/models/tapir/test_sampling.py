"""Samplers against plain definitions: gathered vectors, closed-form fields, grid_sample."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from models.tapir.sampling import local_score_maps, sample_query_features, similarities


def _gathered_scores(
    features: torch.Tensor, grid: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Sample 49 feature vectors by grid_sample, then take dot products."""
    batch, frames, height, width, _ = grid.shape
    steps = torch.arange(-3.0, 4.0)
    offsets = torch.stack([steps[None].expand(7, 7), steps[:, None].expand(7, 7)], -1).view(49, 2)
    out = torch.zeros(*positions.shape[:3], 49, dtype=grid.dtype)
    for b in range(batch):
        for t in range(frames):
            where = positions[b, :, t, None] + offsets  # [n, 49, 2]
            normalised = where / torch.tensor([width, height]) * 2 - 1
            image = grid[b, t].permute(2, 0, 1)[None]
            vectors = F.grid_sample(
                image, normalised[None].to(grid.dtype), padding_mode="zeros", align_corners=False
            )[0]
            query = features[b, :, t if features.shape[2] > 1 else 0]
            out[b, :, t] = torch.einsum("cnk,nc->nk", vectors, query)
    return out


@pytest.mark.parametrize("height, width", [(8, 8), (6, 11), (13, 5)])
@pytest.mark.parametrize("per_frame", [False, True])
def test_score_maps_equal_dot_products_of_samples(height: int, width: int, per_frame: bool) -> None:
    torch.manual_seed(1)
    grid = torch.randn(2, 3, height, width, 5, dtype=torch.float64)
    features = torch.randn(2, 4, 3 if per_frame else 1, 5, dtype=torch.float64)
    positions = torch.rand(2, 4, 3, 2) * torch.tensor([width + 4.0, height + 4.0]) - 2
    ours = local_score_maps(features, grid, positions)
    torch.testing.assert_close(
        ours, _gathered_scores(features, grid, positions), atol=1e-5, rtol=1e-5
    )


def test_score_maps_survive_runaway_positions() -> None:
    grid = torch.ones(1, 1, 4, 4, 2)
    positions = torch.tensor([[1e12, -1e12], [-3e4, 7.0]]).view(1, 2, 1, 2)
    scores = local_score_maps(torch.ones(1, 2, 1, 2), grid, positions)
    assert torch.equal(scores, torch.zeros_like(scores))


def test_query_features_of_a_linear_field_are_exact() -> None:
    # A field that is linear in (t, y, x) is reproduced by trilinear interpolation.
    t, y, x = torch.meshgrid(
        torch.arange(5.0), torch.arange(6.0) + 0.5, torch.arange(9.0) + 0.5, indexing="ij"
    )
    grid = torch.stack([t, y, x], -1)[None]
    points = torch.tensor([[[0.0, 0.5, 0.5], [2.25, 3.1, 7.4], [4.0, 5.5, 8.5], [1.0, 2.0, 3.0]]])
    torch.testing.assert_close(sample_query_features(grid, points), points)


def test_query_features_are_clamped_at_the_border() -> None:
    grid = torch.arange(12.0).view(1, 1, 3, 4, 1)
    points = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 3.0, 4.0]]])
    assert sample_query_features(grid, points).flatten().tolist() == [0.0, 11.0]


@pytest.mark.parametrize("per_frame", [False, True])
def test_gradients_of_similarities(per_frame: bool) -> None:
    torch.manual_seed(0)
    queries = torch.randn(2, 3 if per_frame else 1, 4, 5, dtype=torch.float64, requires_grad=True)
    cells = torch.randn(2, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(similarities, (queries, cells))
    expected = torch.matmul(queries, cells.transpose(2, 3))
    torch.testing.assert_close(similarities(queries, cells), expected)
    with torch.no_grad():
        torch.testing.assert_close(similarities(queries, cells), expected)


def test_gradients_of_score_maps_keep_channels_last() -> None:
    """Else every layer before the grid is several times slower in the backward pass."""
    grid = torch.randn(1, 2, 8, 9, 4, requires_grad=True)
    scores = local_score_maps(torch.randn(1, 3, 1, 4), grid, torch.rand(1, 3, 2, 2) * 8)
    (gradient,) = torch.autograd.grad(scores.sum(), grid)
    assert gradient.stride() == grid.stride()
