"""Training of the pixel model: the noise in a frame, given the first frame carried there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from models.animation.pixel_inputs import Carried, carry
from models.animation.pixel_loss import pixel_loss
from models.animation.pixel_model import PixelModel, pixel_scheduler
from models.animation.pixel_sampling import sample_pixels
from pipelines.render import Panel, contact_sheet
from pipelines.training.animation.clips import GridTracks
from pipelines.training.animation.config import PixelRun, RunConfig
from pipelines.training.animation.kinds import Kind, make_model
from pipelines.training.animation.loader import Batch, Example, frame_with_neighbours

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8


class PixelObjective:
    """Loss of a pixel model on a batch of clips: one frame of each, between its neighbours."""

    def __init__(self, config: PixelRun) -> None:
        self.model: PixelModel = make_model(PixelModel, config.model)
        settings: Any = self.model.config
        self.scheduler = pixel_scheduler(settings.num_train_timesteps, settings.beta_schedule)
        self.stride, self.crop = config.stride, config.crop
        self._crop_step = settings.patch * 2 ** (len(settings.block_out_channels) - 1)
        if self.crop % self._crop_step:
            raise ValueError(
                f"crop is {self.crop}: must be a multiple of {self._crop_step} for this model"
            )
        self._denoiser: Any = torch.compile(self.model) if config.optim.compile else self.model

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`."""
        frames = batch.frames.permute(0, 1, 4, 2, 3).float() / 127.5 - 1
        rows, at = torch.arange(len(frames), device=frames.device), batch.times[:, 2]
        first, shown = frames[:, 0], frames[:, 1:].flatten(1, 2)
        features = self.model.encode_image(first)
        # Where things come from is computed in full precision.
        with torch.autocast(frames.device.type, enabled=False):
            tracks, visible = batch.tracks[rows, at], batch.visible[rows, at]
            carried = carry(first, features.float(), tracks, visible, stride=self.stride)
        if self.crop:
            carried, shown = self._cropped(carried, shown)
        return {"loss": pixel_loss(self._denoiser, self.scheduler, shown, carried)}

    def _cropped(self, carried: Carried, shown: Tensor) -> tuple[Carried, Tensor]:
        """The same square of everything, at a random place."""
        step = self._crop_step
        side, room = self.crop, shown.shape[-1] - self.crop
        top, left = (int(k) * step for k in torch.randint(0, room // step + 1, (2,)))
        return (
            carried.crop(top, left, side),
            shown[..., top : top + side, left : left + side],
        )


def sample_numpy(
    model: PixelModel,
    scheduler: Any,
    image: UInt8[np.ndarray, "s s 3"],
    grid: GridTracks,
    *,
    steps: int,
    seed: int,
) -> UInt8[np.ndarray, "t s s 3"]:
    """Frames of a picture that moves along tracks, as arrays."""
    device = model.device
    frames = sample_pixels(
        model,
        scheduler,
        _to_tensor(image).to(device),
        torch.from_numpy(grid.tracks).to(device),
        torch.from_numpy(grid.visible).to(device),
        steps=steps,
        stride=image.shape[0] / grid.tracks.shape[-1],
        generator=torch.Generator(device).manual_seed(seed),
    )
    return to_pictures(frames)


def bare_warp(image: UInt8[np.ndarray, "s s 3"], grid: GridTracks) -> UInt8[np.ndarray, "t s s 3"]:
    """The picture carried along tracks, its holes filled from around them: no model."""
    tracks, visible = torch.from_numpy(grid.tracks), torch.from_numpy(grid.visible)
    source = _to_tensor(image)
    stride = image.shape[0] / grid.tracks.shape[-1]
    frames = [image[None]]
    for t in range(1, len(tracks)):
        carried = carry(source, source, tracks[t : t + 1], visible[t : t + 1], stride=stride)
        frames.append(to_pictures(carried.warped))
    return np.concatenate(frames)


def to_pictures(frames: Float[Tensor, "t 3 s s"]) -> UInt8[np.ndarray, "t s s 3"]:
    """From [-1, 1] to RGB."""
    values = ((frames.float().permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255)
    return values.to(torch.uint8).cpu().numpy()


def draw_samples(
    model: PixelModel,
    scheduler: Any,
    examples: Sequence[Example],
    config: RunConfig,
) -> UInt8[np.ndarray, "h w 3"]:
    """A row for each clip: first frame; then middle and last as filmed, warped and generated."""
    rows = []
    for number, example in enumerate(examples):
        generated = sample_numpy(
            model,
            scheduler,
            example.frames[0],
            example.grid,
            steps=config.watch.sampling_steps,
            seed=number,
        )
        warped = bare_warp(example.frames[0], example.grid)
        panels = [Panel(example.frames[0], "first frame")]
        for t in (config.num_frames // 2, config.num_frames - 1):
            versions = {"filmed": example.frames, "warped": warped, "generated": generated}
            panels += [Panel(frames[t], f"{name}, {t}") for name, frames in versions.items()]
        rows.append(panels)
    return contact_sheet(rows)


def _to_tensor(image: UInt8[np.ndarray, "s s 3"]) -> Float[Tensor, "1 3 s s"]:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1


PIXEL = Kind(
    name="pixel",
    config=PixelRun,
    pick=frame_with_neighbours,
    model=PixelModel,
    objective=PixelObjective,
    picture=draw_samples,
)
