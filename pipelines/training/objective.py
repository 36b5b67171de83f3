"""The loss of one step, on clips with truth or with a teacher's word for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.tapir import Estimate
from models.tapir.features import FeatureGrids
from models.tapir.losses import LossConfig, LossTerms, sequence_loss, track_loss
from models.tapir.matching_loss import matching_loss
from pipelines.training.data import Batch


def step_losses(
    iterates: Sequence[Estimate], batch: Batch, config: LossConfig, real_weight: float
) -> list[LossTerms]:
    """Loss terms of the initialisation and of each iteration.

    Where only some points count, the others add nothing to a mean over all: the fewer a teacher
    vouches for, the less its clip weighs, and the mean over the parts of a batch is that of all.
    """
    if batch.counted is None:
        return sequence_loss(iterates, batch.tracks, batch.occluded, config)
    weight = real_weight * batch.counted.float().mean()
    if not batch.counted.any():
        return [_nothing(estimate) for estimate in iterates]
    tracks, occluded = _chosen(batch.tracks, batch.counted), _chosen(batch.occluded, batch.counted)
    every = []
    for estimate in iterates:
        points = Estimate(
            _chosen(estimate.tracks, batch.counted),
            _chosen(estimate.occlusion, batch.counted),
            _chosen(estimate.uncertainty, batch.counted),
        )
        terms = track_loss(points, tracks, occluded, config)
        every.append(
            LossTerms(weight * terms.position, weight * terms.occlusion, weight * terms.uncertainty)
        )
    return every


_HIGHRES_EVERY = 4  # that grid has four times the cells: a point costs as much more


def feature_loss(grids: FeatureGrids, batch: Batch) -> Tensor:
    """Dense matching loss of both grids, over all points of the batch and some of them.

    A teacher's points count where they count for tracking.
    """
    height, width = grids.resolution
    hidden = batch.occluded if batch.counted is None else batch.occluded | ~batch.counted
    total = torch.zeros((), device=batch.queries.device)
    for grid, step in ((grids.lowres, 1), (grids.highres, _HIGHRES_EVERY)):
        scale = grid.new_tensor(
            [1.0, grid.shape[2] / height, grid.shape[3] / width], dtype=torch.float32
        )
        part = slice(None, None, step)
        total = total + matching_loss(
            grid,
            batch.queries[:, part] * scale,
            batch.tracks[:, part] * scale[[2, 1]],
            hidden[:, part],
        )
    return total / 2


def _chosen(values: Tensor, counted: Tensor) -> Tensor:
    """The points that count, as the frames of a single track."""
    return values[counted][None, None]


def _nothing(estimate: Estimate) -> LossTerms:
    """Zeros that still depend on the network, so that a step without any point has gradients."""
    return LossTerms(
        0 * estimate.tracks.sum(),
        0 * estimate.occlusion.sum(),
        0 * torch.nan_to_num(estimate.uncertainty, neginf=0.0).sum(),
    )
