"""Light, blur, noise and compression with torch: `photometric` for many frames at once."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from pipelines.synthetic.photometric import Degradation

if TYPE_CHECKING:
    from jaxtyping import Float

# Annex K of the JPEG standard: steps of luminance and chrominance at quality 50.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def apply(
    degradation: Degradation, frames: Float[torch.Tensor, "t 3 h w"]
) -> Float[torch.Tensor, "t 3 h w"]:
    """Degrade frames of whole grey levels from 0 to 255; whole grey levels again."""
    height, width = frames.shape[2:]
    device = frames.device
    tables = torch.from_numpy(degradation.tables).to(device).permute(0, 2, 1).float()
    frames = tables.gather(2, frames.long().flatten(2)).reshape(frames.shape)
    if degradation.shades:
        gains = [degradation.gain(t, height, width) for t in range(len(frames))]
        frames = _levels(frames * torch.from_numpy(np.stack(gains)).to(device)[:, None])
    if degradation.blur:
        frames = _levels(_blurred(frames, degradation.blur * min(height, width) / 256))
    if degradation.noise:
        generator = torch.Generator(device).manual_seed(degradation.noise_seed)
        grain = torch.randn(frames.shape, generator=generator, device=device)
        frames = _levels(frames + degradation.noise * grain)
    return _stored(degradation, frames)


def compress(
    frames: Float[torch.Tensor, "t 3 h w"], qualities: Float[torch.Tensor, " t"]
) -> Float[torch.Tensor, "t 3 h w"]:
    """What is left of frames that were stored as JPEG of these qualities (1 to 100)."""
    height, width = frames.shape[2:]
    frames = F.pad(frames, (0, -width % 16, 0, -height % 16), mode="replicate")
    matrix = torch.tensor(_TO_YCC, device=frames.device)
    luminance, colours = torch.einsum("ij,tjhw->tihw", matrix, frames).split([1, 2], dim=1)
    scale = torch.where(qualities < 50, 5000 / qualities, 200 - 2 * qualities) / 100
    luminance = _quantized(luminance - 128, _LUMINANCE, scale) + 128
    colours = _quantized(F.avg_pool2d(colours, 2), _CHROMINANCE, scale)
    colours = F.interpolate(colours, scale_factor=2, mode="bilinear", align_corners=False)
    together = torch.cat([luminance, colours], dim=1)
    frames = torch.einsum("ij,tjhw->tihw", torch.linalg.inv(matrix), together)
    return _levels(frames[..., :height, :width])


def _stored(
    degradation: Degradation, frames: Float[torch.Tensor, "t 3 h w"]
) -> Float[torch.Tensor, "t 3 h w"]:
    height, width = frames.shape[2:]
    if degradation.size < 1:
        down, along = (
            _area_weights(*sizes).to(frames.device)
            for sizes in zip((height, width), degradation.stored_size(height, width), strict=True)
        )
        frames = _levels(down @ frames @ along.T)
    if degradation.qualities[0]:
        qualities = torch.tensor(degradation.qualities, device=frames.device).float()
        frames = compress(frames, qualities)
    if degradation.size < 1:
        frames = _levels(F.interpolate(frames, (height, width), mode="bilinear"))
    return frames


def _area_weights(size: int, small: int) -> Float[torch.Tensor, "small size"]:
    """Averages over the pixels that a smaller number of pixels covers, in parts where they meet."""
    edges = torch.arange(small + 1) * (size / small)
    pixels = torch.arange(size)
    ends = torch.minimum(edges[1:, None], pixels + 1.0)
    overlap = (ends - torch.maximum(edges[:-1, None], pixels)).clamp(min=0)
    return overlap / overlap.sum(dim=1, keepdim=True)


def _quantized(
    planes: Float[torch.Tensor, "t c h w"],
    steps: tuple[tuple[int, ...], ...],
    scale: Float[torch.Tensor, " t"],
) -> Float[torch.Tensor, "t c h w"]:
    """Blocks of 8 x 8 with their cosine transform in whole steps."""
    table = torch.tensor(steps, device=planes.device) * scale[:, None, None]
    table = (table + 0.5).floor().clamp(1, 255)[:, None, None, None]
    cosines = _cosines().to(planes.device)
    t, c, h, w = planes.shape
    blocks = planes.reshape(t, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    waves = cosines @ blocks @ cosines.T
    blocks = cosines.T @ ((waves / table).round() * table) @ cosines
    return blocks.transpose(3, 4).reshape(t, c, h, w)


@cache
def _cosines() -> Float[torch.Tensor, "8 8"]:
    """The matrix of the cosine transform: one row per frequency."""
    frequency, place = torch.arange(8.0)[:, None], torch.arange(8.0)
    rows = 0.5 * torch.cos(math.pi / 8 * frequency * (place + 0.5))
    rows[0] /= math.sqrt(2)
    return rows


def _blurred(
    frames: Float[torch.Tensor, "t 3 h w"], sigma: float
) -> Float[torch.Tensor, "t 3 h w"]:
    reach = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, device=frames.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None]
    flat = F.pad(frames.flatten(0, 1)[:, None], (reach,) * 4, mode="reflect")
    flat = F.conv2d(F.conv2d(flat, kernel[..., None, :]), kernel[..., None])
    return flat.reshape(frames.shape)


def _levels(frames: torch.Tensor) -> torch.Tensor:
    return frames.round().clamp(0, 255)
