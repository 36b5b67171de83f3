"""Training loss of the trajectory model: how far its clean data is from the truth.

All position terms are squares of linear functions of the error, so that they agree on the best
prediction: the mean of what may happen. A robust loss would be after the median, and since most
points of most clips hardly move, the median moves too little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.animation.encoding import ENCODING_CHANNELS, STATE_CHANNELS, TrajectoryEncoding
from models.animation.trajectory_noise import draw_timesteps, signal_to_noise

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from models.animation.trajectory_model import TrajectoryModel


@dataclass(frozen=True)
class TrajectoryLossConfig:
    """Weights of the terms."""

    occluded_weight: float = 0.2
    """Of the position of a hidden point, whose truth is a guess, next to one that is seen."""
    occlusion_weight: float = 0.5
    smoothness_weight: float = 2.0
    """Of errors that differ between neighbours in space and time, which show as trembling."""
    snr_gain: float = 1.0
    snr_cap: float = 1.0
    """An example with signal-to-noise ratio r weighs 1 + min(gain * r, cap). What the picture says
    is learned at much noise, where nothing else tells the motion: with a gain of 64 and a cap of 16
    a tiny model's end points were off by 8 of 12 pixels after 250 steps, without weights by 1.5."""
    drop_image: float = 0.1
    """Share of examples that are denoised without the image, for classifier-free guidance."""


@dataclass(frozen=True)
class TrajectoryLossTerms:
    """Weighted means over the batch."""

    position: Tensor
    occlusion: Tensor
    smoothness: Tensor
    features: Tensor
    """Positions' features, where these are diffused too; otherwise 0."""

    @property
    def total(self) -> Tensor:
        return self.position + self.occlusion + self.smoothness + self.features


def trajectory_loss(
    clean: Float[Tensor, "b c h w"],
    truth: Float[Tensor, "b 3t h w"],
    encoding: TrajectoryEncoding,
    snr: Float[Tensor, " b"],
    config: TrajectoryLossConfig | None = None,
) -> TrajectoryLossTerms:
    """Loss of predicted data against the true state; the first frame, which is known, is left out.

    Args:
        clean: the model's prediction, in the layout of `TrajectoryEncoding.diffuse`.
        truth: from `TrajectoryEncoding.to_state`; its occlusion says which points are hidden.
        snr: signal-to-noise ratio of what the model was shown.
    """
    config = config or TrajectoryLossConfig()
    batch_weight = 1 + (config.snr_gain * snr).clamp_max(config.snr_cap)
    batch_weight = batch_weight[:, None, None, None]
    occlusion, relative = encoding.split(encoding.state_of(clean))
    true_occlusion, true_relative = encoding.split(truth)
    seen = (true_occlusion < 0).to(truth.dtype)
    weight = seen + config.occluded_weight * (1 - seen)
    error = relative - true_relative

    def mean(square: Tensor, at: Tensor) -> Tensor:
        """Over the points that count and all frames but the first."""
        return (batch_weight * at * square)[:, 1:].sum() / at[:, 1:].sum().clamp_min(1)

    return TrajectoryLossTerms(
        position=mean(error.square().mean(2), weight),
        occlusion=config.occlusion_weight
        * mean((occlusion - true_occlusion).square(), torch.ones_like(weight)),
        smoothness=config.smoothness_weight * _roughness(error, seen, batch_weight),
        features=mean(_feature_error(clean, truth, encoding), weight),
    )


def denoising_loss(
    model: TrajectoryModel,
    scheduler: Any,
    image: Float[Tensor, "b 3 s s"],
    tracks: Float[Tensor, "b t 2 h w"],
    visible: Bool[Tensor, "b t h w"],
    config: TrajectoryLossConfig | None = None,
    generator: torch.Generator | None = None,
) -> TrajectoryLossTerms:
    """One training step's loss: noise is drawn, added, and the model asked to remove it.

    Args:
        scheduler: any diffusers scheduler with ``add_noise`` and ``alphas_cumprod``.
        image: first frames in [-1, 1].
        generator: of the noise, on the device of the image.
    """
    config = config or TrajectoryLossConfig()
    encoding = model.encoding
    count, device = len(image), image.device
    truth = encoding.to_state(tracks.float(), visible)
    data = encoding.diffuse(truth)
    timesteps = draw_timesteps(count, scheduler, generator, device)
    noise = torch.randn(data.shape, generator=generator, device=device)
    noisy = scheduler.add_noise(data, noise, timesteps)
    drop = torch.rand(count, generator=generator, device=device) < config.drop_image
    clean = model(noisy, timesteps, model.encode_image(image), drop)
    return trajectory_loss(clean, truth, encoding, signal_to_noise(scheduler, timesteps), config)


def _roughness(error: Tensor, seen: Tensor, batch_weight: Tensor) -> Tensor:
    """Mean square of the differences of the error between neighbours that are both seen."""
    total = error.new_zeros(())
    for axis in (1, 3, 4):  # time, rows, columns
        pairs = error.shape[axis] - 1
        difference = error.narrow(axis, 1, pairs) - error.narrow(axis, 0, pairs)
        grid_axis = axis if axis == 1 else axis - 1
        both = seen.narrow(grid_axis, 1, pairs) * seen.narrow(grid_axis, 0, pairs)
        square = batch_weight * both * difference.square().mean(2)
        total = total + square.sum() / both.sum().clamp_min(1)
    return total / 3


def _feature_error(clean: Tensor, truth: Tensor, encoding: TrajectoryEncoding) -> Tensor:
    """Mean square error [b, t, h, w] of the channels beside the state's."""
    if encoding.diffused == "state":
        return truth.new_zeros(len(truth), encoding.num_frames, *truth.shape[-2:])
    shape = (encoding.num_frames, ENCODING_CHANNELS)
    error = (clean - encoding.encode(truth)).unflatten(1, shape)
    return error[:, :, STATE_CHANNELS:].square().mean(2)
