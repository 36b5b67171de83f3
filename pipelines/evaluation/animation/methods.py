"""The trained models as methods that can be scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.evaluation.animation.baselines import Method, Prediction
from pipelines.evaluation.animation.pixel import DrawFrames, DrivenClip
from pipelines.evaluation.animation.saved import SavedModel
from pipelines.training.animation.clips import GridTracks

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

_CLIP_SEEDS = 1_000_003  # apart, so that runs with neighbouring seeds share no noise


def trajectory_method(
    saved: SavedModel,
    *,
    steps: int,
    guidance: float,
    temperature: float,
    max_stretch: float,
    seed: int,
) -> Method:
    """Samples of a trajectory model; clip n of a run always gets the same noise."""
    from pipelines.training.animation.trajectory import sample_numpy

    def predict(image: UInt8[np.ndarray, "s s 3"], count: int, number: int) -> Prediction:
        tracks, visible = sample_numpy(
            saved.model,
            saved.scheduler,
            image,
            num_samples=count,
            steps=steps,
            seed=seed * _CLIP_SEEDS + number,
            guidance=guidance,
            temperature=temperature,
            max_stretch=max_stretch,
        )
        return Prediction(tracks, visible)

    return predict


def pixel_method(saved: SavedModel, *, steps: int, seed: int) -> DrawFrames:
    """Frames of a pixel model; clip n of a run always gets the same noise."""
    from pipelines.training.animation.pixel import sample_numpy

    def draw(clip: DrivenClip, number: int) -> UInt8[np.ndarray, "t s s 3"]:
        return sample_numpy(
            saved.model,
            saved.scheduler,
            clip.frames[0],
            GridTracks(clip.tracks, clip.visible),
            steps=steps,
            seed=seed * _CLIP_SEEDS + number,
        )

    return draw


def warp_method(clip: DrivenClip, number: int) -> UInt8[np.ndarray, "t s s 3"]:
    """The first frame carried along the tracks: no model."""
    from pipelines.training.animation.pixel import bare_warp

    return bare_warp(clip.frames[0], GridTracks(clip.tracks, clip.visible))
