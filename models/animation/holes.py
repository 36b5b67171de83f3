"""Filling holes from what surrounds them, coarse to fine.

What a moving object uncovers belongs to the background, so its pixels count for little in the fill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Float

_BACKGROUND_DEPTH = 0.5  # cells; a surface this far off the dominant motion counts 1/e
_LEAST_WEIGHT = 1e-4  # where nothing but objects is near, they fill


def background_weight(depth: Float[Tensor, "b 1 H W"]) -> Float[Tensor, "b 1 H W"]:
    """How much a pixel counts in a fill, by its surface's departure from the dominant motion."""
    return (-depth / _BACKGROUND_DEPTH).exp() + _LEAST_WEIGHT


def fill_holes(
    picture: Float[Tensor, "b c H W"],
    covered: Float[Tensor, "b 1 H W"],
    weight: Float[Tensor, "b 1 H W"] | None = None,
) -> Float[Tensor, "b c H W"]:
    """The picture with every pixel where ``covered`` is below 1 blended into a smooth fill.

    Averages are taken over ever larger blocks; a block that is empty takes what the next larger
    one has (pull-push). ``weight``, at most about 1, says how much each pixel counts. A picture
    without any covered pixel stays 0.
    """
    if bool((covered == 1).all()):
        return picture
    share = covered if weight is None else covered * weight
    return picture * covered + (1 - covered) * _pull_push(picture * share, share)


def _pull_push(weighted: Tensor, share: Tensor) -> Tensor:
    """Weighted averages with weights that sum to ``share``, continued where it is 0."""
    height, width = share.shape[2:]
    own = weighted / share.clamp_min(1e-12)
    if height == 1 and width == 1:
        return own
    padded = F.pad(torch.cat((weighted, share), 1), (1, 1 + width % 2, 1, 1 + height % 2))
    # Tent of 4 pixels: blocks overlap, so the fill shows no block structure.
    tent = share.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (tent[:, None] * tent).expand(padded.shape[1], 1, 4, 4)
    coarse = F.conv2d(padded, kernel.contiguous(), stride=2, groups=padded.shape[1])
    # A block is certain once it is a quarter full; from there on what is finer decides.
    mass = coarse[:, -1:]
    full = (4 * mass).clamp_max(1)
    deeper = _pull_push(coarse[:, :-1] * (full / mass.clamp_min(1e-12)), full)
    above = F.interpolate(deeper, scale_factor=2, mode="bilinear")[:, :, :height, :width]
    return above + share.clamp_max(1) * (own - above)
