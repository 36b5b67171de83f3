"""Bilinear sampling of feature grids and of local score maps.

Positions are raster coordinates of the grid they index: cell (i, j) is centred at
(x, y) = (j + 0.5, i + 0.5). Scaling a position by grid size over image size moves it from
the image to the grid, for square and non-square images alike (docs/coordinates.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

RADIUS = 3
"""Score maps reach three cells to either side of the position: 7 x 7."""


def sample_query_features(
    grid: Float[Tensor, "b t h w c"], points: Float[Tensor, "b n 3"]
) -> Float[Tensor, "b n c"]:
    """Trilinear samples at (t, y, x), clamped at the border; t in frames, (y, x) in cells."""
    batch, frames, height, width, _ = grid.shape
    t = points[..., 0].clamp(0, frames - 1)
    y = (points[..., 1] - 0.5).clamp(0, height - 1)
    x = (points[..., 2] - 0.5).clamp(0, width - 1)
    t0, y0, x0 = t.floor(), y.floor(), x.floor()
    batch_index = torch.arange(batch, device=grid.device)[:, None]
    out: Tensor | None = None
    for dt in (0, 1):
        weight_t = (t - t0) if dt else 1 - (t - t0)
        for dy in (0, 1):
            weight_y = (y - y0) if dy else 1 - (y - y0)
            for dx in (0, 1):
                weight_x = (x - x0) if dx else 1 - (x - x0)
                corner = grid[
                    batch_index,
                    (t0.long() + dt).clamp_max(frames - 1),
                    (y0.long() + dy).clamp_max(height - 1),
                    (x0.long() + dx).clamp_max(width - 1),
                ]
                term = corner * (weight_t * weight_y * weight_x).to(grid.dtype)[..., None]
                out = term if out is None else out + term
    assert out is not None
    return out


def local_score_maps(
    features: Float[Tensor, "b n #t c"],
    grid: Float[Tensor, "b t h w c"],
    positions: Float[Tensor, "b n t 2"],
) -> Float[Tensor, "b n t 49"]:
    """Similarity to the query feature on a 7 × 7 lattice of unit steps around each position.

    Bilinear interpolation commutes with the dot product, so the score map of the whole grid
    is one matrix product and only scalars are gathered, never 49 feature vectors. All 49
    samples share one fractional offset, so 8 × 8 cells are enough. Zero outside the grid.
    ``positions`` are (x, y) in cells; the result is in row-major order.
    """
    batch, frames, height, width, channels = grid.shape
    num = features.shape[1]
    queries = features.transpose(1, 2)  # [b, t or 1, n, c]
    cells = grid.reshape(batch, frames, height * width, channels)
    scores = similarities(queries, cells)  # [b, t, n, h * w]

    corner = positions.transpose(1, 2) - 0.5  # [b, t, n, 2]
    base = corner.floor()
    fraction = (corner - base).to(scores.dtype)
    # A position may have run away; far outside, every cell is out of the grid anyway.
    limit = 2 * max(height, width)
    base = base.clamp(-limit, limit).long()
    steps = torch.arange(-RADIUS, RADIUS + 2, device=grid.device)
    columns = base[..., 0:1] + steps  # [b, t, n, 8]
    rows = base[..., 1:2] + steps
    inside_x = (columns >= 0) & (columns < width)
    inside_y = (rows >= 0) & (rows < height)
    index = rows.clamp(0, height - 1)[..., :, None] * width
    index = index + columns.clamp(0, width - 1)[..., None, :]
    patch = torch.gather(scores, 3, index.flatten(3)).unflatten(3, index.shape[3:])
    patch = patch * (inside_y[..., :, None] & inside_x[..., None, :])

    fx, fy = fraction[..., 0, None, None], fraction[..., 1, None, None]
    patch = torch.lerp(patch[..., :-1, :], patch[..., 1:, :], fy)
    patch = torch.lerp(patch[..., :-1], patch[..., 1:], fx)
    return patch.flatten(3).view(batch, frames, num, -1).transpose(1, 2)


def similarities(
    queries: Float[Tensor, "b _ n c"], cells: Float[Tensor, "b t m c"]
) -> Float[Tensor, "b t n m"]:
    """Dot products of every query with every cell of a frame.

    Queries may be the same on every frame: one frame of them, then.
    """
    if torch.is_grad_enabled() and cells.device.type == "cpu":
        return _TrainedSimilarities.apply(queries.to(cells.dtype), cells)
    return torch.matmul(queries, cells.transpose(2, 3))


class _TrainedSimilarities(torch.autograd.Function):
    """The product, with gradients laid out as the cells are.

    Those of torch's are laid out channel by channel, and so all that comes before the grid in the
    backward pass gives up channels-last.
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, cells: Tensor) -> Tensor:
        ctx.save_for_backward(queries, cells)
        return torch.matmul(queries, cells.transpose(2, 3))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (grad,) = grads
        queries, cells = ctx.saved_tensors
        grad_queries = torch.matmul(grad, cells)
        if queries.shape[1] == 1:  # the same on every frame
            grad_queries = grad_queries.sum(1, keepdim=True)
        return grad_queries, torch.matmul(grad.transpose(2, 3), queries)
