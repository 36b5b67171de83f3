"""From a photo to its animation: the two models of section 5 of the paper, one after the other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import __version__
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils.outputs import BaseOutput
from torch import Tensor

from animate.frame import controls_in_frame, model_frame, model_image
from animate.loading import BUNDLED, PIXEL, TRAJECTORY, load_model, load_scheduler
from animate.settings import AnimationSettings
from animate.tracks_file import Motion
from models.animation.composite import full_resolution_frames
from models.animation.controls import Drag, Pin
from models.animation.motion_constraints import MotionConstraints
from models.animation.pixel_model import PixelModel
from models.animation.pixel_sampling import sample_pixels
from models.animation.surroundings import Box
from models.animation.trajectory_model import TrajectoryModel
from models.animation.trajectory_sampling import sample_trajectories
from models.tracker import pick_dtype

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from PIL import Image

Progress = Callable[[str, int, int], None]
"""Called with the stage, "motion" or "pixels", the steps done and their number."""

_PIXEL_SEED = 7919  # apart from that of the motion, so that both draw different noise


@dataclass
class AnimationOutput(BaseOutput):
    """Samples of one call. All positions are in pixels of the photo that was given."""

    frames: list[UInt8[np.ndarray, "t H W 3"]]
    motions: list[Motion]

    @property
    def trajectories(self) -> np.ndarray:
        """(x, y) of the grid's points: float32 [samples, t, 2, h, w]."""
        return np.stack([motion.tracks for motion in self.motions])

    @property
    def visibility(self) -> np.ndarray:
        """Probability that a point is seen: float32 [samples, t, h, w]."""
        return np.stack([motion.visible for motion in self.motions])


class AnimationPipeline(DiffusionPipeline):
    """Animates photos; made by `from_pretrained`, called with a photo.

    The samplers are `trajectory_scheduler` and `pixel_scheduler`; another one takes over their
    noise by its ``from_config``:

        pipeline.trajectory_scheduler = DDIMScheduler.from_config(
            pipeline.trajectory_scheduler.config)
    """

    trajectory_model: TrajectoryModel
    trajectory_scheduler: Any
    pixel_model: PixelModel
    pixel_scheduler: Any

    def __init__(
        self,
        trajectory_model: TrajectoryModel,
        trajectory_scheduler: Any,
        pixel_model: PixelModel,
        pixel_scheduler: Any,
    ) -> None:
        super().__init__()
        self.register_modules(
            trajectory_model=trajectory_model,
            trajectory_scheduler=trajectory_scheduler,
            pixel_model=pixel_model,
            pixel_scheduler=pixel_scheduler,
        )

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        trajectory: str | os.PathLike[str] | None = None,
        pixel: str | os.PathLike[str] | None = None,
        torch_dtype: torch.dtype | None = None,
        device: str | torch.device = "cpu",
    ) -> AnimationPipeline:
        """The models in a folder that `save_pretrained` wrote; None: those that come along.

        Args:
            trajectory, pixel: folders of either model, as `tapirus train` leaves them in
                OUTPUT/model, in place of that of ``path``.
            torch_dtype: None: bfloat16 where the hardware has it, else float32.

        Raises ValueError naming the folder that holds no such model.
        """
        root = BUNDLED if path is None else Path(path)
        first = Path(trajectory) if trajectory is not None else root / TRAJECTORY
        second = Path(pixel) if pixel is not None else root / PIXEL
        device = torch.device(device)
        dtype = pick_dtype("auto", device) if torch_dtype is None else torch_dtype
        pipeline = cls(
            load_model(first, TrajectoryModel, dtype),
            load_scheduler(first),
            load_model(second, PixelModel, dtype),
            load_scheduler(second),
        )
        return pipeline.to(device)

    def save_pretrained(  # type: ignore[override]
        self, path: str | os.PathLike[str]
    ) -> None:
        """Write both models and samplers as `from_pretrained` reads them."""
        root = Path(path)
        parts = {
            TRAJECTORY: (self.trajectory_model, self.trajectory_scheduler),
            PIXEL: (self.pixel_model, self.pixel_scheduler),
        }
        for name, (model, scheduler) in parts.items():
            model.save_pretrained(root / name)
            scheduler.save_pretrained(root / name)
        index = {
            "_class_name": type(self).__name__,
            "_diffusers_version": __version__,
            **{name: [type(part).__name__ for part in both] for name, both in parts.items()},
        }
        (root / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")

    def __call__(
        self,
        image: Image.Image | UInt8[np.ndarray, "H W 3"],
        *,
        seed: int = 0,
        generator: torch.Generator | None = None,
        motion: Motion | None = None,
        callback: Progress | None = None,
        **settings: Any,
    ) -> AnimationOutput:
        """Frames of animations of a photo, at its own size, and their trajectories.

        Args:
            image: RGB.
            seed: of the noise; sample k of any number of samples is the same for a seed.
            generator: of the noise, in place of the seed.
            motion: trajectories to follow, in place of samples of the model.
            settings: see `AnimationSettings`; drags may be tuples (x0, y0, x1, y1), pins (x, y).

        Raises ValueError for controls that cannot be met, and for settings out of range.
        """
        pixels = _as_array(image)
        for name, kind in (("drags", Drag), ("pins", Pin)):
            given = settings.get(name, ())
            settings[name] = tuple(one if isinstance(one, kind) else kind(*one) for one in given)
        asked = AnimationSettings(**settings)
        motions = self.motions(
            pixels, asked, seed=seed, generator=generator, motion=motion, callback=callback
        )
        frames = [
            np.stack(
                list(
                    self.frames(
                        pixels, one, asked, seed=seed + k, generator=generator, callback=callback
                    )
                )
            )
            for k, one in enumerate(motions)
        ]
        return AnimationOutput(frames=frames, motions=motions)

    @torch.no_grad()
    def motions(
        self,
        pixels: UInt8[np.ndarray, "H W 3"],
        settings: AnimationSettings,
        *,
        seed: int = 0,
        generator: torch.Generator | None = None,
        motion: Motion | None = None,
        callback: Progress | None = None,
    ) -> list[Motion]:
        """The first half of a call: how the photo's points may move, once for each sample."""
        size = self.trajectory_model.encoding.size
        height, width = pixels.shape[:2]
        frame = model_frame(width, height, settings) if motion is None else motion.frame
        controls = controls_in_frame(settings, frame, (width, height), size)
        scale, corner = _placement(frame, size)
        if motion is not None:
            tracks = (torch.from_numpy(motion.tracks) - corner) / scale
            visible = torch.from_numpy(motion.visible)
            rows, cols = visible.shape[1:]
            bent = MotionConstraints(controls, len(tracks), size, rows, cols, tracks)
            tracks_k, visible_k = bent.finish(tracks[None], visible[None])
        else:
            image = model_image(pixels, frame, size).to(self.device)
            with self.progress_bar(total=settings.steps) as bar:

                def advance(step: int, timestep: Any, state: Tensor) -> None:
                    bar.update()
                    if callback is not None:
                        callback("motion", step + 1, settings.steps)

                tracks_k, visible_k = sample_trajectories(
                    self.trajectory_model,
                    self.trajectory_scheduler,
                    image,
                    num_samples=settings.samples,
                    steps=settings.steps,
                    guidance=settings.guidance,
                    temperature=settings.temperature,
                    max_stretch=settings.max_stretch,
                    controls=controls,
                    generator=self._generators(seed, settings.samples, generator),
                    callback=advance,
                )
        placed = tracks_k.float().cpu() * scale + corner
        return [
            Motion(
                tracks=one.numpy(),
                visible=seen.numpy(),
                frame=frame,
                photo_size=(width, height),
                fps=settings.fps,
            )
            for one, seen in zip(placed, visible_k.float().cpu(), strict=True)
        ]

    def frames(
        self,
        pixels: UInt8[np.ndarray, "H W 3"],
        motion: Motion,
        settings: AnimationSettings,
        *,
        seed: int = 0,
        generator: torch.Generator | None = None,
        callback: Progress | None = None,
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The second half of a call: the frames of one motion, one at a time."""
        size = self.trajectory_model.encoding.size
        frame = motion.frame
        scale, corner = _placement(frame, size)
        tracks = ((torch.from_numpy(motion.tracks) - corner) / scale).to(self.device)
        visible = torch.from_numpy(motion.visible).to(self.device)
        stride = size / tracks.shape[-1]
        drawn = None
        if settings.pixel_steps and len(tracks) > 1:
            own = generator or torch.Generator(self.device).manual_seed(seed + _PIXEL_SEED)
            with self.progress_bar(total=settings.pixel_steps) as bar:

                def advance(step: int, timestep: Any, state: Tensor) -> None:
                    bar.update()
                    if callback is not None:
                        callback("pixels", step + 1, settings.pixel_steps)

                drawn = sample_pixels(
                    self.pixel_model,
                    self.pixel_scheduler,
                    model_image(pixels, frame, size).to(self.device),
                    tracks,
                    visible,
                    steps=settings.pixel_steps,
                    stride=stride,
                    generator=own,
                    callback=advance,
                )
        return full_resolution_frames(pixels, tracks, visible, drawn, frame, stride=stride)

    def _generators(
        self, seed: int, samples: int, generator: torch.Generator | None
    ) -> torch.Generator | list[torch.Generator]:
        if generator is not None:
            return generator
        return [torch.Generator(self.device).manual_seed(seed + k) for k in range(samples)]


def _placement(frame: Box, size: int) -> tuple[Tensor, Tensor]:
    """Photo pixels in a pixel of the model frame, and its corner in the photo: both [2, 1, 1]."""
    scale = torch.tensor([frame.width / size, frame.height / size])
    return scale[:, None, None], torch.tensor([float(frame.x), float(frame.y)])[:, None, None]


def _as_array(image: Image.Image | np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    if not isinstance(image, np.ndarray):
        image = np.asarray(image.convert("RGB"))
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"the photo is {image.dtype} {list(image.shape)}: must be uint8 [height, width, 3]"
        )
    return image
