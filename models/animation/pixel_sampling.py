"""Painting the frames of an animation with the pixel model, with any diffusers scheduler."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from models.animation.pixel_inputs import Carried, carry, noisy_triples
from models.animation.warp import STRIDE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from models.animation.pixel_model import PixelModel
    from models.animation.trajectory_sampling import StepCallback


@torch.no_grad()
def sample_pixels(
    model: PixelModel,
    scheduler: Any,
    image: Float[Tensor, "1 3 S S"],
    tracks: Float[Tensor, "t 2 h w"],
    visible: Float[Tensor, "t h w"] | Bool[Tensor, "t h w"],
    *,
    steps: int = 8,
    strength: float = 1.0,
    frame_batch: int = 8,
    stride: float = STRIDE,
    generator: torch.Generator | None = None,
    callback: StepCallback | None = None,
) -> Float[Tensor, "t 3 S S"]:
    """The frames of an animation, [-1, 1]; the first is the image.

    Args:
        scheduler: of diffusers, for a model that predicts noise, with the model's schedule; see
            `pixel_scheduler`.
        tracks: (x, y) in pixels of the image, ``stride`` of them to a grid cell.
        visible: whether a point is seen in the frame, or the probability.
        steps: denoising steps.
        strength: where they begin: 1 from noise alone, less from the warped image with that
            share of the schedule's timesteps in noise.
        frame_batch: frames that go through the network together; time and memory depend on it,
            the result does not.
        generator: of the noise.
        callback: called after each step with its number, its timestep and the noisy frames.

    Raises ValueError for schedulers that take the prediction for something else or have another
    schedule, and for a number of steps or a strength out of range.
    """
    _check(model, scheduler, steps, strength)
    frames = len(tracks)
    blocks = [slice(k, min(k + frame_batch, frames)) for k in range(1, frames, frame_batch)]
    photo = image.float()
    if not blocks:
        return photo
    features = model.encode_image(image).float()
    known = [_carried(photo, features, tracks[b], visible[b], stride) for b in blocks]

    # Of the steps from noise alone that this strength asks for, the last `steps`.
    scheduler.set_timesteps(max(steps, math.ceil(steps / strength)), device=photo.device)
    if float(scheduler.init_noise_sigma) != 1:
        raise ValueError(
            f"{type(scheduler).__name__} lets noisy frames grow with the noise, the pixel "
            "model wants them of unit variance: use DDIM or DPM-Solver++"
        )
    timesteps = scheduler.timesteps[-steps:]
    if hasattr(scheduler, "set_begin_index"):  # those that look back count their steps
        scheduler.set_begin_index(len(scheduler.timesteps) - steps)
    shape = (frames, *photo.shape[1:])
    noise = randn_tensor(shape, generator=generator, device=photo.device, dtype=torch.float32)
    guess = torch.cat((photo, *(k.warped for k in known)))
    noisy = _with_noise(model, guess, noise, timesteps[0])
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    extra = {"generator": generator} if takes_generator else {}
    for step, timestep in enumerate(timesteps):
        # The first frame is known at every noise level.
        noisy = torch.cat((_with_noise(model, photo, noise[:1], timestep), noisy[1:]))
        triples = noisy_triples(noisy)
        found = [
            model(triples[b], timestep, k.warped, k.covered, k.features)
            for b, k in zip(blocks, known, strict=True)
        ]
        if step + 1 < steps:
            after = scheduler.step(torch.cat(found), timestep, noisy[1:], **extra).prev_sample
        else:
            # All the way: some schedulers stop short when steps do not divide the schedule.
            after = _without_noise(model, noisy[1:], torch.cat(found), timestep)
        noisy = torch.cat((photo, after))
        if callback is not None:
            callback(step, timestep, noisy)
    return noisy.clamp(-1, 1)


def _carried(
    photo: Tensor, features: Tensor, tracks: Tensor, visible: Tensor, stride: float
) -> Carried:
    count = len(tracks)
    return carry(
        photo.expand(count, -1, -1, -1),
        features.expand(count, -1, -1, -1),
        tracks,
        visible,
        stride=stride,
    )


def _with_noise(model: PixelModel, clean: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    signal, amount = model.levels(timestep.reshape(1).to(clean.device))
    return signal * clean + amount * noise


def _without_noise(model: PixelModel, noisy: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    signal, amount = model.levels(timestep.reshape(1).to(noisy.device))
    return (noisy - amount * noise) / signal


def _check(model: PixelModel, scheduler: Any, steps: int, strength: float) -> None:
    name, config = type(scheduler).__name__, scheduler.config
    if config.get("prediction_type") != "epsilon":
        raise ValueError(
            f"{name} takes predictions for {config.get('prediction_type')!r}, the pixel model "
            'predicts noise: set prediction_type="epsilon"'
        )
    for key in ("num_train_timesteps", "beta_schedule"):
        if config.get(key) != model.config[key]:
            raise ValueError(
                f"{name} has {key} {config.get(key)!r}, the pixel model was made for "
                f"{model.config[key]!r}: make the scheduler from the model's configuration"
            )
    if steps < 1 or not 0 < strength <= 1:
        raise ValueError(
            f"steps is {steps} and strength {strength}: 1 or more, and above 0 up to 1"
        )
