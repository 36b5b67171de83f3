"""Drawing trajectories from the trajectory model, with any diffusers scheduler."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from models.animation.controls import Controls
from models.animation.motion_constraints import MotionConstraints
from models.animation.stretch import limit_stretch

if TYPE_CHECKING:
    from jaxtyping import Float

    from models.animation.trajectory_model import TrajectoryModel

StepCallback = Callable[[int, Any, Tensor], None]
"""Called after every denoising step with its number, its timestep and the predicted state."""


@torch.no_grad()
def sample_trajectories(
    model: TrajectoryModel,
    scheduler: Any,
    image: Float[Tensor, "1 3 s s"],
    *,
    num_samples: int = 1,
    steps: int = 20,
    guidance: float = 2.0,
    temperature: float = 1.0,
    max_stretch: float | None = None,
    controls: Controls | None = None,
    generator: torch.Generator | list[torch.Generator] | None = None,
    callback: StepCallback | None = None,
) -> tuple[Float[Tensor, "k t 2 h w"], Float[Tensor, "k t h w"]]:
    """Trajectories that an image may take, and the probability that each point is seen.

    Args:
        scheduler: of diffusers, for a model that predicts the sample: ``prediction_type="sample"``
            and ``clip_sample=False``. See `trajectory_scheduler`.
        image: in [-1, 1], of the model's size.
        steps: denoising steps.
        guidance: how much more than without the image the image counts; 1 is none.
        temperature: factor on the noise that sampling starts from; below 1 samples differ less from
            each other, and move less where the motion cannot be foreseen.
        max_stretch: motions that part neighbours by more than this share of their distance are
            made smaller; see `limit_stretch`. None: they stay as they are.
        controls: what the motion must do. It bends the prediction of every step, so that the rest
            of the picture can go along, and once more the result, which meets it.
        generator: of the noise; a list gives each sample its own.

    Raises ValueError for controls outside the image, images of another size and schedulers that
    take the prediction for something else.
    """
    _check_scheduler(scheduler)
    if num_samples < 1 or steps < 1:
        raise ValueError(f"num_samples is {num_samples} and steps {steps}: both must be at least 1")
    encoding, (rows, cols) = model.encoding, model.grid_shape
    device = image.device
    constraints = None
    if controls is not None:
        constraints = MotionConstraints(
            controls, encoding.num_frames, encoding.size, rows, cols, image.float()
        )
    features = model.encode_image(image)
    extra = _accepted(scheduler.step, generator=generator)
    scheduler.set_timesteps(steps, device=device)
    shape = (num_samples, encoding.channels, rows, cols)
    noisy = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
    noisy = noisy * (scheduler.init_noise_sigma * temperature)
    for step, timestep in enumerate(scheduler.timesteps):
        given = scheduler.scale_model_input(noisy, timestep)
        clean = _guided(model, given, timestep, features, guidance)
        state = encoding.state_of(clean)
        if constraints is not None:
            tracks = constraints.guide(encoding.from_state(state)[0])
            state = encoding.with_tracks(state, tracks)
            clean = encoding.diffuse(state)
        noisy = scheduler.step(clean, timestep, noisy, **extra).prev_sample
        if callback is not None:
            callback(step, timestep, state)
    # Not the last sample: with some numbers of steps, schedulers leave a little noise in it.
    tracks, visible = encoding.from_state(state)
    if max_stretch is not None:
        tracks, visible = limit_stretch(tracks, visible, encoding.size, max_stretch)
    return (tracks, visible) if constraints is None else constraints.finish(tracks, visible)


def _guided(
    model: TrajectoryModel, noisy: Tensor, timestep: Tensor, features: Tensor, guidance: float
) -> Tensor:
    """The prediction, moved away from what it would be without the image (one batch for both)."""
    count = len(noisy)
    features = features.expand(count, *features.shape[1:])
    if guidance == 1:
        return model(noisy, timestep, features)
    drop = torch.arange(2 * count, device=noisy.device) >= count
    both = model(torch.cat((noisy, noisy)), timestep, torch.cat((features, features)), drop)
    with_image, without = both.chunk(2)
    return torch.lerp(without, with_image, guidance)


def _check_scheduler(scheduler: Any) -> None:
    name, config = type(scheduler).__name__, scheduler.config
    if config.get("prediction_type") != "sample":
        raise ValueError(
            f"{name} takes predictions for {config.get('prediction_type')!r}, the trajectory model "
            'predicts the sample: set prediction_type="sample"'
        )
    if config.get("clip_sample", False) or config.get("thresholding", False):
        raise ValueError(
            f"{name} clips predictions, which are displacements and have no bounds: set "
            "clip_sample=False and thresholding=False"
        )


def _accepted(function: Any, **arguments: Any) -> dict[str, Any]:
    """Those arguments that the function has; schedulers differ."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in arguments.items() if name in known}
