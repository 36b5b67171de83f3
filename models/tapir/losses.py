"""Training losses of TAPIR (paper section 3.1, equation 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from models.tapir.estimate import Estimate

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True)
class LossConfig:
    """Weights and thresholds; lengths are pixels of the training clips, whatever their size."""

    huber_delta: float = 4.0
    position_weight: float = 0.05
    occlusion_weight: float = 1.0
    uncertainty_weight: float = 1.0
    uncertainty_threshold: float = 6.0
    """δ: a visible prediction farther than this from the truth should say that it is unsure."""
    matching_weight: float = 0.3
    """Of the dense matching loss, where training has points for it (models.tapir.matching_loss)."""


@dataclass(frozen=True)
class LossTerms:
    """The weighted mean of each term over the points it applies to."""

    position: Tensor
    occlusion: Tensor
    uncertainty: Tensor

    @property
    def total(self) -> Tensor:
        return self.position + self.occlusion + self.uncertainty


def track_loss(
    estimate: Estimate,
    tracks: Float[Tensor, "b n t 2"],
    occluded: Bool[Tensor, "b n t"],
    config: LossConfig,
) -> LossTerms:
    """Equation 1 for one estimate, averaged over all queries and frames.

    Positions and uncertainty count where the truth is visible. The uncertainty target comes
    from the model's own error and carries no gradient; a network that estimates no uncertainty
    has no such term.
    """
    visible = (~occluded).float()
    error = (estimate.tracks - tracks).float()
    distance = error.square().sum(-1).clamp_min(1e-12).sqrt()
    delta = config.huber_delta
    huber = torch.where(distance < delta, 0.5 * distance.square(), delta * (distance - delta / 2))
    wrong = (distance.detach() > config.uncertainty_threshold).float()
    occlusion = F.binary_cross_entropy_with_logits(estimate.occlusion.float(), 1 - visible)
    uncertainty = F.binary_cross_entropy_with_logits(
        estimate.uncertainty.float(), wrong, reduction="none"
    ).masked_fill(estimate.uncertainty.isneginf(), 0.0)
    return LossTerms(
        config.position_weight * (huber * visible).mean(),
        config.occlusion_weight * occlusion,
        config.uncertainty_weight * (uncertainty * visible).mean(),
    )


def sequence_loss(
    iterates: Sequence[Estimate],
    tracks: Float[Tensor, "b n t 2"],
    occluded: Bool[Tensor, "b n t"],
    config: LossConfig,
) -> list[LossTerms]:
    """Loss terms of the initialisation and of each iteration, all weighted alike."""
    return [track_loss(estimate, tracks, occluded, config) for estimate in iterates]
