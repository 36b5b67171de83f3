"""The same clips drawn with torch: many frames at once, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from pipelines.synthetic.clip import is_solid, make_clip, random_moments
from pipelines.synthetic.config import SyntheticConfig
from pipelines.synthetic.layer import Layer
from pipelines.synthetic.photometric import random_degradation
from pipelines.synthetic.render import mip_level
from pipelines.synthetic.scene import Scene, random_scene
from pipelines.synthetic.textures import TextureBank
from pipelines.synthetic.torch_degrade import apply
from pipelines.synthetic.truth import sample_tracks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8


@dataclass(frozen=True)
class TorchClips:
    """Clips and their truth on one device; positions in pixels, pixel centres at +0.5."""

    video: UInt8[torch.Tensor, "b t h w 3"]
    queries: Float[torch.Tensor, "b n 3"]  # (t, y, x); t is a whole frame
    tracks: Float[torch.Tensor, "b n t 2"]  # (x, y); also where the point is hidden
    occluded: Bool[torch.Tensor, "b n t"]  # behind something nearer, or outside the frame


def make_clips(
    seeds: Sequence[int], config: SyntheticConfig, textures: TextureBank, device: torch.device | str
) -> TorchClips:
    """The clips that `make_clip` makes, drawn on `device`.

    Scenes, tracks and all other choices are those of `make_clip` to the bit. The pictures differ
    by rounding, since OpenCV works in 8 bits; only the grains of noise are others. Clips of solid
    bodies are drawn on the CPU.
    """
    made = [_make(seed, config, textures, torch.device(device)) for seed in seeds]
    return TorchClips(*(torch.stack(parts) for parts in zip(*made, strict=True)))


def render_frames(
    scene: Scene, times: Float[np.ndarray, " n"], device: torch.device
) -> Float[torch.Tensor, "n 3 h w"]:
    """The scene at each time, in grey levels from 0 to 255: layers over each other."""
    width, height = scene.layers[0].frame_size
    frames = torch.empty(len(times), 3, height, width, device=device)
    # One depth order at a time: there are two at most.
    late = np.array([scene.order(float(time)) != scene.order(-np.inf) for time in times])
    for chosen in (np.flatnonzero(~late), np.flatnonzero(late)):
        if len(chosen) == 0:
            continue
        background, *nearer = scene.order(float(times[chosen[0]]))
        picture = _draw(scene.layers[background], times[chosen], device)
        for index in nearer:
            drawn = _draw(scene.layers[index], times[chosen], device)
            picture = picture * (1 - drawn[:, 3:] / 255) + drawn[:, :3]
        frames[torch.as_tensor(chosen, device=device)] = picture
    return frames


def _make(
    seed: int, config: SyntheticConfig, textures: TextureBank, device: torch.device
) -> tuple[torch.Tensor, ...]:
    # The same draws in the same order as in make_clip.
    rng = np.random.default_rng(seed)
    if is_solid(rng, config):
        clip = make_clip(seed, config, textures)
        parts = (clip.video, clip.queries, clip.tracks, clip.occluded)
        return tuple(torch.from_numpy(part).to(device) for part in parts)
    scene = random_scene(rng, config, textures)
    truth = sample_tracks(rng, scene, config)
    moments = random_moments(rng, truth[1], config)
    frames = torch.zeros(config.num_frames, 3, config.height, config.width, device=device)
    for moment in moments:
        frames += render_frames(scene, np.arange(config.num_frames) + moment, device)
    frames = (frames / len(moments)).round().clamp(0, 255)
    if config.photometric:
        frames = apply(random_degradation(rng, config.num_frames, config), frames)
    video = frames.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return video, *(torch.from_numpy(part).to(device) for part in truth)


def _draw(
    layer: Layer, times: Float[np.ndarray, " n"], device: torch.device
) -> Float[torch.Tensor, "n c h w"]:
    """The layer alone, premultiplied; channels as in its texture."""
    matrices = layer.matrices(times)
    levels = np.array([mip_level(layer, matrix) for matrix in matrices])
    grid = _texture_points(layer, np.linalg.inv(matrices), times, device)
    width, height = layer.frame_size
    channels = layer.levels[0].shape[2]
    drawn = torch.empty(len(times), channels, height, width, device=device)
    for level in np.unique(levels):
        chosen = torch.as_tensor(np.flatnonzero(levels == level), device=device)
        texture = torch.from_numpy(layer.levels[level]).to(device).permute(2, 0, 1).float()
        drawn[chosen] = F.grid_sample(
            texture.expand(len(chosen), -1, -1, -1),
            grid[chosen],
            padding_mode="reflection" if layer.background else "zeros",
            align_corners=False,
        )
    return drawn


def _texture_points(
    layer: Layer,
    inverses: Float[np.ndarray, "n 3 3"],
    times: Float[np.ndarray, " n"],
    device: torch.device,
) -> Float[torch.Tensor, "n h w 2"]:
    """Where the frame's pixel centres lie in the texture, from -1 to 1 over its whole extent."""
    width, height = layer.frame_size
    matrix = torch.from_numpy(inverses).to(device, torch.float32)[..., None, None]
    along = torch.arange(width, device=device) + 0.5
    down = (torch.arange(height, device=device) + 0.5)[:, None]
    x, y, depth = (
        matrix[:, i, 0] * along + (matrix[:, i, 1] * down + matrix[:, i, 2]) for i in range(3)
    )
    moments = torch.from_numpy(times).to(device, torch.float32)[:, None, None]
    x, y = layer.displace(x / depth, y / depth, moments)
    return torch.stack([2 / layer.size[0] * x - 1, 2 / layer.size[1] * y - 1], dim=-1)
