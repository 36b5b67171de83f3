"""Track initialisation: cost volume, soft arg-max, occlusion and uncertainty (section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

_WINDOW_RADIUS = 5.0  # cells farther than this from the arg-max do not vote


class CostVolumeHead(nn.Module):
    """From one similarity map per query and frame to a heat map and its logits."""

    def __init__(self, channels: tuple[int, int, int], uncertainty: bool = True) -> None:
        super().__init__()
        heat, occlusion, linear = channels
        self.hid1 = nn.Conv2d(1, heat, 3, padding=1)
        self.hid2 = nn.Conv2d(heat, 1, 3, padding=1)
        self.hid3 = nn.Conv2d(heat, occlusion, 3, stride=2)
        self.hid4 = nn.Linear(occlusion, linear)
        self.occ_out = nn.Linear(linear, 1 + uncertainty)

    def forward(
        self, cost: Float[Tensor, "m h w"]
    ) -> tuple[Float[Tensor, "m h w"], Float[Tensor, "m logits"]]:
        """Similarities to heat-map logits and logits: occlusion and, if it has one, uncertainty."""
        hidden = torch.relu_(
            self.hid1(cost.unsqueeze(1).contiguous(memory_format=torch.channels_last))
        )
        heatmap = self.hid2(hidden).squeeze(1)
        occlusion = torch.relu_(self.hid3(F.pad(hidden, (0, 2, 0, 2)))).mean(dim=(2, 3))
        return heatmap, self.occ_out(torch.relu(self.hid4(occlusion)))


def soft_argmax(heatmap: Float[Tensor, "m h w"], temperature: float) -> Float[Tensor, "m 2"]:
    """Mean (x, y) of the cells near the maximum, weighted by their softmax; in cells."""
    height, width = heatmap.shape[1:]
    weights = torch.softmax(heatmap.float().flatten(1) * temperature, dim=1)
    best = weights.argmax(dim=1)
    rows = torch.arange(height, device=heatmap.device, dtype=torch.float32)
    columns = torch.arange(width, device=heatmap.device, dtype=torch.float32)
    dy = rows - (best // width)[:, None]
    dx = columns - (best % width)[:, None]
    near = (dy.square()[:, :, None] + dx.square()[:, None, :]) < _WINDOW_RADIUS**2
    weights = weights.unflatten(1, (height, width)) * near
    total = weights.sum(dim=(1, 2)).clamp_min(1e-12)
    x = (weights.sum(1) * (columns + 0.5)).sum(1) / total
    y = (weights.sum(2) * (rows + 0.5)).sum(1) / total
    return torch.stack([x, y], dim=-1)
