"""One synthetic clip: video, query points and their exact tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.synthetic.config import SyntheticConfig
from pipelines.synthetic.photometric import degrade
from pipelines.synthetic.render import render_frames
from pipelines.synthetic.scene import random_scene
from pipelines.synthetic.textures import TextureBank
from pipelines.synthetic.truth import sample_tracks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, UInt8


@dataclass(frozen=True)
class SyntheticClip:
    """A clip and its truth; positions in pixels, pixel centres at +0.5."""

    video: UInt8[np.ndarray, "t h w 3"]
    queries: Float32[np.ndarray, "n 3"]  # (t, y, x); t is a whole frame
    tracks: Float32[np.ndarray, "n t 2"]  # (x, y); also where the point is hidden
    occluded: Bool[np.ndarray, "n t"]  # behind something nearer, or outside the frame


def make_clip(seed: int, config: SyntheticConfig, textures: TextureBank) -> SyntheticClip:
    """Make the clip number `seed`: the same arguments give the same bytes.

    Sets OpenCV to a single thread in this process: clips are made side by side in processes.
    """
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    if is_solid(rng, config):
        # Not with layers alone: it needs a physics engine.
        from pipelines.synthetic.solid import SolidConfig, make_solid_clip

        solid = SolidConfig() if config.physics else SolidConfig(falling=0.0)
        return make_solid_clip(rng, config, textures, solid)
    scene = random_scene(rng, config, textures)
    queries, tracks, occluded = sample_tracks(rng, scene, config)
    video = expose(rng, lambda times: render_frames(scene, times), tracks, config)
    if config.photometric:
        video = degrade(rng, video, config)
    return SyntheticClip(video, queries, tracks, occluded)


def is_solid(rng: np.random.Generator, config: SyntheticConfig) -> bool:
    """Whether the clip shows solid bodies instead of layers; the first thing to be drawn."""
    return bool(rng.random() < config.solid)


def random_moments(
    rng: np.random.Generator, tracks: Float[np.ndarray, "n t 2"], config: SyntheticConfig
) -> Float[np.ndarray, " k"]:
    """Times, relative to a frame's own, whose pictures make up the frame: motion blur.

    Symmetric about zero: the blur does not move the tracks. A single zero: no blur.
    """
    if not config.photometric or rng.random() >= config.motion_blur:
        return np.zeros(1)
    exposure = rng.uniform(0.25, 0.75)
    # As many pictures as keep the ghosts of fast points together.
    steps = np.linalg.norm(np.diff(tracks, axis=1), axis=-1)
    streak = exposure * float(np.percentile(steps, 75)) if steps.size else 0.0
    count = int(np.clip(np.ceil(streak / 2), 2, 4))
    return exposure * ((np.arange(count) + 0.5) / count - 0.5)


def expose(
    rng: np.random.Generator,
    draw: Callable[[Float[np.ndarray, " k"]], Iterable[UInt8[np.ndarray, "h w 3"]]],
    tracks: Float[np.ndarray, "n t 2"],
    config: SyntheticConfig,
) -> UInt8[np.ndarray, "t h w 3"]:
    """The frames of a clip, drawn by `draw` (pictures at the times given), with motion blur."""
    moments = random_moments(rng, tracks, config)
    times = np.arange(config.num_frames)[:, None] + moments
    pictures = iter(draw(times.ravel()))
    video = np.empty((config.num_frames, config.height, config.width, 3), np.uint8)
    for t in range(config.num_frames):
        if len(moments) == 1:
            video[t] = next(pictures)
            continue
        total = np.zeros(video.shape[1:], np.uint16)
        for _ in moments:
            total += next(pictures)
        video[t] = (total + len(moments) // 2) // len(moments)
    return video
