"""Training of the trajectory model: clean trajectories from noisy ones and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from models.animation.trajectory_loss import denoising_loss
from models.animation.trajectory_model import TrajectoryModel
from models.animation.trajectory_noise import trajectory_scheduler
from models.animation.trajectory_sampling import sample_trajectories
from pipelines.render import Panel, contact_sheet, draw_trails
from pipelines.training.animation.config import RunConfig, TrajectoryRun
from pipelines.training.animation.kinds import Kind, make_model
from pipelines.training.animation.loader import Batch, Example, first_frame

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_SAMPLES = 3
_TRAILS = 400


class TrajectoryObjective:
    """Loss of a trajectory model on a batch of clips."""

    def __init__(self, config: TrajectoryRun) -> None:
        self.model: TrajectoryModel = make_model(
            TrajectoryModel,
            config.model,
            num_frames=config.num_frames,
            size=config.size,
            stride=config.stride,
        )
        self.scheduler = trajectory_scheduler()
        self.config = config.loss
        self._denoiser: Any = torch.compile(self.model) if config.optim.compile else self.model

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`; beside the loss its terms."""
        image = batch.frames[:, 0].permute(0, 3, 1, 2).float() / 127.5 - 1
        terms = denoising_loss(
            self._denoiser, self.scheduler, image, batch.tracks, batch.visible, self.config
        )
        return {
            "loss": terms.total,
            "position": terms.position,
            "occlusion": terms.occlusion,
            "smoothness": terms.smoothness,
        }


def sample_numpy(
    model: TrajectoryModel,
    scheduler: Any,
    image: UInt8[np.ndarray, "s s 3"],
    *,
    num_samples: int,
    steps: int,
    seed: int,
    guidance: float | None = None,
    temperature: float = 1.0,
    max_stretch: float | None = None,
) -> tuple[Float[np.ndarray, "k t 2 h w"], Bool[np.ndarray, "k t h w"]]:
    """Tracks in pixels of the model frame, and whether each point is seen, as arrays."""
    device = model.device
    picture = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
    keywords: dict[str, Any] = {} if guidance is None else {"guidance": guidance}
    tracks, visible = sample_trajectories(
        model,
        scheduler,
        picture,
        num_samples=num_samples,
        steps=steps,
        temperature=temperature,
        max_stretch=max_stretch,
        generator=torch.Generator(device).manual_seed(seed),
        **keywords,
    )
    return tracks.float().cpu().numpy(), (visible > 0.5).cpu().numpy()


def draw_samples(
    model: TrajectoryModel,
    scheduler: Any,
    examples: Sequence[Example],
    config: RunConfig,
) -> UInt8[np.ndarray, "h w 3"]:
    """A row for each clip: true trajectories, then samples, over the first frame."""
    rows = []
    for number, example in enumerate(examples):
        still = np.repeat(example.frames[:1], config.num_frames, axis=0)
        truth = example.grid.tracks[None], example.grid.visible[None]
        guess = sample_numpy(
            model,
            scheduler,
            example.frames[0],
            num_samples=_SAMPLES,
            steps=config.watch.sampling_steps,
            seed=number,
        )
        panels = [Panel(example.frames[0], "first frame")]
        for title, (tracks, visible) in (("truth", truth), ("sample", guess)):
            for one, seen in zip(tracks, visible, strict=True):
                points = one.reshape(config.num_frames, 2, -1).transpose(2, 0, 1)
                mask = seen.reshape(config.num_frames, -1).T
                panels.append(
                    Panel(draw_trails(still, points, mask, scale=1, max_tracks=_TRAILS), title)
                )
        rows.append(panels)
    return contact_sheet(rows)


TRAJECTORY = Kind(
    name="trajectory",
    config=TrajectoryRun,
    pick=first_frame,
    model=TrajectoryModel,
    objective=TrajectoryObjective,
    picture=draw_samples,
)
