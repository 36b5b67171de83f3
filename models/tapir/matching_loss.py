"""Dense matching loss: the right cell of every frame should be the most alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.tapir.sampling import sample_query_features

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def matching_loss(
    grid: Float[Tensor, "b t h w c"],
    queries: Float[Tensor, "b n 3"],
    tracks: Float[Tensor, "b n t 2"],
    occluded: Bool[Tensor, "b n t"],
    temperature: float = 20.0,
) -> Tensor:
    """Cross-entropy of the similarities of a query to all cells of a frame, averaged.

    A tracking loss reaches the features through one soft arg-max per query and frame. This one
    costs a matrix product, so that many more points can teach the features what to tell apart.

    Args:
        grid: normalised features.
        queries: (t, y, x) in frames and cells of ``grid``.
        tracks: (x, y) in cells of ``grid``; frames where the point is visible count.
        temperature: factor on the similarities, which lie in [-1, 1].
    """
    height, width = grid.shape[2:4]
    features = sample_query_features(grid, queries)
    scores = torch.matmul(features[:, None], grid.flatten(2, 3).transpose(2, 3))
    logits = temperature * scores.float().transpose(1, 2)  # [b, n, t, h * w]
    log_total = logits.logsumexp(-1)
    corner = tracks - 0.5  # cell centres lie at +0.5
    low = corner.floor()
    part = corner - low
    expected = torch.zeros_like(log_total)
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (part[..., 0] if dx else 1 - part[..., 0]) * (
                part[..., 1] if dy else 1 - part[..., 1]
            )
            x = (low[..., 0] + dx).clamp(0, width - 1)
            y = (low[..., 1] + dy).clamp(0, height - 1)
            cell = (y * width + x).long()[..., None]
            expected = expected + weight * logits.gather(-1, cell)[..., 0]
    visible = (~occluded).float()
    return ((log_total - expected) * visible).sum() / visible.sum().clamp_min(1)
