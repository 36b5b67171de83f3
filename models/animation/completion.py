"""What is shown in holes as long as nobody has painted there.

Holes that open at the picture's border show its mirror image: sharp, and at rest in the scene.
Holes that an object leaves behind are filled from the background around them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from models.animation.holes import background_weight, fill_holes
from models.animation.motion_field import grid_centers
from models.animation.warp import InverseMap, sample_source

if TYPE_CHECKING:
    from jaxtyping import Float


def complete_warp(
    source: Float[torch.Tensor, "b c H W"], inverse: InverseMap
) -> Float[torch.Tensor, "b c a b"]:
    """The source carried along the map, with no hole left."""
    continued = mirror_beyond_border(inverse)
    carried = sample_source(source, continued)
    shown = (continued.covered > 0).to(carried.dtype)
    return fill_holes(carried, shown, background_weight(continued.depth))


def mirror_beyond_border(inverse: InverseMap) -> InverseMap:
    """The map continued into those holes that show what lies beyond the source's border.

    The background's motion goes on smoothly into holes; where it leads out of the source, the place
    outside is entered and counts as covered. `sample_source` mirrors it.
    """
    height, width = inverse.source.shape[2:]
    extent = inverse.source.new_tensor([width, height])[:, None, None]
    here = grid_centers(height, width, inverse.source) / extent
    weight = background_weight(inverse.depth)
    shown = (inverse.covered > 0).to(weight.dtype)
    place = here + fill_holes(inverse.source - here, shown, weight)
    beyond = ((place < 0) | (place > 1)).any(dim=1, keepdim=True) & (shown == 0)
    return InverseMap(
        source=torch.where(beyond, place, inverse.source),
        covered=torch.maximum(inverse.covered, beyond.to(inverse.covered.dtype)),
        depth=inverse.depth,
    )
