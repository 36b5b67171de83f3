"""Models and motions small enough for tests, whose truth is known in closed form."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from models.animation import TrajectoryEncoding, TrajectoryModel

FRAMES, SIZE, GRID = 8, 64, 16


def small_model(**config: Any) -> TrajectoryModel:
    """16 x 16 trajectories of 8 frames over 64 pixels; nothing in it is zero any more."""
    torch.manual_seed(0)
    settings: dict[str, Any] = dict(
        num_frames=FRAMES,
        size=SIZE,
        widths=(32, 64),
        attention=(False, True),
        feature_channels=16,
        feature_blocks=1,
        head_width=16,
    )
    return TrajectoryModel(**{**settings, **config}).eval()


def shake(model: TrajectoryModel, scale: float = 0.05) -> TrajectoryModel:
    """Gives the layers that start at zero random weights: an untrained model that predicts."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, scale, generator=generator)
    return model


def start_points(count: int = 1, size: float = SIZE, grid: int = GRID) -> Tensor:
    """[count, 2, grid, grid] pixel positions of the grid in the first frame."""
    centres = (torch.arange(grid) + 0.5) * (size / grid)
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack((x, y)).expand(count, 2, grid, grid)


def moved(x: float, y: float, frames: int = FRAMES, size: float = SIZE, grid: int = GRID) -> Tensor:
    """Tracks [1, t, 2, h, w] of a picture that moves evenly, by (x, y) pixels in all."""
    time = torch.linspace(0, 1, frames)[:, None, None, None]
    return (start_points(1, size, grid) + time * torch.tensor([x, y])[:, None, None])[None]


def turned(degrees: float) -> Tensor:
    """Tracks [1, t, 2, h, w] of a picture that turns about its centre."""
    angle = torch.linspace(0, math.radians(degrees), FRAMES)[:, None, None]
    x, y = start_points()[0] - SIZE / 2
    turned = (x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos())
    return torch.stack(turned, dim=1)[None] + SIZE / 2


class Oracle:
    """Stands in for a trajectory model, and knows the answer whatever the noise."""

    def __init__(
        self, tracks: Tensor, visible: Tensor | None = None, size: int = SIZE, **config: Any
    ) -> None:
        self.encoding = TrajectoryEncoding(tracks.shape[1], size, **config)
        visible = torch.ones_like(tracks[:, :, 0]) if visible is None else visible
        self.clean = self.encoding.diffuse(self.encoding.to_state(tracks, visible))
        self.grid_shape = tuple(tracks.shape[-2:])

    def encode_image(self, image: Tensor) -> Tensor:
        return image

    def __call__(
        self, noisy: Tensor, timestep: Any, features: Tensor, drop: Tensor | None = None
    ) -> Tensor:
        return self.clean.expand(len(noisy), *self.clean.shape[1:])
