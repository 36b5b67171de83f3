"""Training loss of the pixel model: how far the noise it finds is from the noise that was added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.animation.trajectory_noise import draw_timesteps

if TYPE_CHECKING:
    from typing import Any

    from jaxtyping import Float

    from models.animation.pixel_inputs import Carried
    from models.animation.pixel_model import PixelModel


def pixel_loss(
    model: PixelModel,
    scheduler: Any,
    frames: Float[Tensor, "b 9 S S"],
    carried: Carried,
    generator: torch.Generator | None = None,
) -> Float[Tensor, ""]:
    """One training step's loss: noise is drawn, added, and the model asked to find it.

    Args:
        scheduler: of the model's schedule, see `pixel_scheduler`.
        frames: the true frames before, at and after the one to denoise, [-1, 1]; at the ends of a
            clip the frame itself stands in for the missing one.
        carried: the clip's first frame carried to it, with ``model.encode_image`` of the same step,
            so that the encoder learns too. Both may be crops.
        generator: of the noise, on the device of the frames.
    """
    timesteps = draw_timesteps(len(frames), scheduler, generator, frames.device)
    noise = torch.randn(frames.shape, generator=generator, device=frames.device)
    # Samplers repeat the last frame, with its noise, in place of the one after it.
    at, after = frames[:, 3:6], frames[:, 6:]
    last = (at == after).flatten(1).all(dim=1)[:, None, None, None]
    noise[:, 6:] = torch.where(last, noise[:, 3:6], noise[:, 6:])
    noisy = scheduler.add_noise(frames.float(), noise, timesteps)
    found = model(noisy, timesteps, carried.warped, carried.covered, carried.features)
    square = (found - noise[:, 3:6]).square()
    return (model.loss_weight(timesteps, carried.covered) * square).mean()
