"""From one image to trajectories, and from trajectories to frames (paper section 5).

Needs only torch, numpy and diffusers. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.animation.composite import full_resolution_frames
    from models.animation.controls import Controls, Drag, Pin
    from models.animation.encoding import TrajectoryEncoding
    from models.animation.pixel_inputs import Carried, carry, noisy_triples
    from models.animation.pixel_loss import pixel_loss
    from models.animation.pixel_model import PixelModel, pixel_scheduler
    from models.animation.pixel_sampling import sample_pixels
    from models.animation.stretch import limit_stretch
    from models.animation.surroundings import Box
    from models.animation.trajectory_loss import (
        TrajectoryLossConfig,
        TrajectoryLossTerms,
        denoising_loss,
    )
    from models.animation.trajectory_model import TrajectoryModel
    from models.animation.trajectory_noise import trajectory_scheduler
    from models.animation.trajectory_sampling import sample_trajectories
    from models.animation.warp import InverseMap, inverse_map, sample_source, warp_to_frame

__all__ = [
    "Box",
    "Carried",
    "Controls",
    "Drag",
    "InverseMap",
    "Pin",
    "PixelModel",
    "TrajectoryEncoding",
    "TrajectoryLossConfig",
    "TrajectoryLossTerms",
    "TrajectoryModel",
    "carry",
    "denoising_loss",
    "full_resolution_frames",
    "inverse_map",
    "limit_stretch",
    "noisy_triples",
    "pixel_loss",
    "pixel_scheduler",
    "sample_pixels",
    "sample_source",
    "sample_trajectories",
    "trajectory_scheduler",
    "warp_to_frame",
]

_HOMES = {
    "Box": "surroundings",
    "Carried": "pixel_inputs",
    "Controls": "controls",
    "Drag": "controls",
    "InverseMap": "warp",
    "Pin": "controls",
    "PixelModel": "pixel_model",
    "TrajectoryEncoding": "encoding",
    "TrajectoryLossConfig": "trajectory_loss",
    "TrajectoryLossTerms": "trajectory_loss",
    "TrajectoryModel": "trajectory_model",
    "carry": "pixel_inputs",
    "denoising_loss": "trajectory_loss",
    "full_resolution_frames": "composite",
    "inverse_map": "warp",
    "limit_stretch": "stretch",
    "noisy_triples": "pixel_inputs",
    "pixel_loss": "pixel_loss",
    "pixel_scheduler": "pixel_model",
    "sample_pixels": "pixel_sampling",
    "sample_source": "warp",
    "sample_trajectories": "trajectory_sampling",
    "trajectory_scheduler": "trajectory_noise",
    "warp_to_frame": "warp",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'models.animation' has no attribute {name!r}")
    return getattr(importlib.import_module(f"models.animation.{_HOMES[name]}"), name)
