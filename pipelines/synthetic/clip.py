"""One synthetic clip: video, query points and their exact tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.synthetic.config import SyntheticConfig
from pipelines.synthetic.photometric import degrade
from pipelines.synthetic.render import render_frames
from pipelines.synthetic.scene import Scene, random_scene
from pipelines.synthetic.textures import TextureBank

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, UInt8

_EDGE = 1.5  # pixels between a query and the nearest edge of a layer


@dataclass(frozen=True)
class SyntheticClip:
    """A clip and its truth; positions in pixels, pixel centres at +0.5."""

    video: UInt8[np.ndarray, "t h w 3"]
    queries: Float32[np.ndarray, "n 3"]  # (t, y, x); t is a whole frame
    tracks: Float32[np.ndarray, "n t 2"]  # (x, y); also where the point is hidden
    occluded: Bool[np.ndarray, "n t"]  # behind a nearer layer, or outside the frame


def make_clip(seed: int, config: SyntheticConfig, textures: TextureBank) -> SyntheticClip:
    """Make the clip number `seed`: the same arguments give the same bytes.

    Sets OpenCV to a single thread in this process: clips are made side by side in processes.
    """
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, config, textures)
    queries, tracks, occluded = sample_tracks(rng, scene, config)
    video = _render(rng, scene, config)
    if config.photometric:
        video = degrade(rng, video, config)
    return SyntheticClip(video, queries, tracks, occluded)


def sample_tracks(
    rng: np.random.Generator, scene: Scene, config: SyntheticConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries [N, 3] at visible surface points, with their tracks [N, T, 2] and occlusion."""
    points, times, owner = _visible_points(rng, scene, config)
    frames = np.arange(config.num_frames, dtype=np.float64)
    count = len(points)
    tracks = np.empty((count, config.num_frames, 2))
    every = np.broadcast_to(frames, (count, config.num_frames))
    for index, layer in enumerate(scene.layers):
        own = owner == index
        if own.any():
            texture = layer.locate(points[own], times[own])
            spread = np.broadcast_to(texture[:, None], (own.sum(), config.num_frames, 2))
            tracks[own] = layer.project(spread, every[own])
    outside = (tracks < 0).any(-1) | (tracks >= (config.width, config.height)).any(-1)
    ranks = scene.depths(every)
    own_rank = np.take_along_axis(ranks, owner[:, None, None], axis=-1)[..., 0]
    covered = np.zeros_like(outside)
    for index, layer in enumerate(scene.layers[1:], start=1):
        nearer = ranks[..., index] > own_rank
        if nearer.any():
            located = layer.locate(tracks[nearer], every[nearer])
            covered[nearer] |= layer.coverage(located) > 0.5
    queries = np.concatenate([times[:, None], points[:, ::-1]], axis=1)
    return queries.astype(np.float32), tracks.astype(np.float32), outside | covered


def _visible_points(
    rng: np.random.Generator, scene: Scene, config: SyntheticConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions [N, 2], times [N] and layers [N] of points that are seen clearly."""
    wanted = config.num_queries
    front = np.zeros((0, 4))
    back = np.zeros((0, 4))
    for _ in range(8):
        found = _candidates(rng, scene, config, 4 * wanted)
        front = np.concatenate([front, found[found[:, 3] > 0]])
        back = np.concatenate([back, found[found[:, 3] == 0]])
        if len(front) >= wanted and len(back) >= wanted:
            break
    # A speck in front of the background is not worth half of the queries.
    most = min(config.foreground_queries, 0.1 + 4 * _foreground_area(rng, scene, config))
    share = min(round(most * wanted), len(front))
    share = max(share, min(wanted - len(back), len(front)))
    chosen = np.concatenate([front[:share], back[: wanted - share]])
    if len(chosen) == 0:
        raise RuntimeError("no point of the synthetic scene is visible in the frame")
    if len(chosen) < wanted:
        chosen = chosen[rng.integers(len(chosen), size=wanted)]
    chosen = chosen[rng.permutation(wanted)]
    return chosen[:, :2], chosen[:, 2], chosen[:, 3].astype(int)


def _foreground_area(rng: np.random.Generator, scene: Scene, config: SyntheticConfig) -> float:
    """Share of the clip's pixels that show a foreground layer, from a few samples."""
    times = rng.integers(config.num_frames, size=256).astype(np.float64)
    points = rng.uniform(0, 1, (256, 2)) * (config.width, config.height)
    return float((scene.top_layer(points, times) > 0).mean())


def _candidates(
    rng: np.random.Generator, scene: Scene, config: SyntheticConfig, count: int
) -> np.ndarray:
    """[K, 4] rows (x, y, t, layer) of visible points, away from the edges of layers."""
    times = rng.integers(config.num_frames, size=count).astype(np.float64)
    points = rng.uniform(0, 1, (count, 2)) * (config.width, config.height)
    # Uniform positions miss small layers: half of the points start from a layer's texture.
    for index, layer in enumerate(scene.layers[1:], start=1):
        pick = slice(count // 2 + index - 1, count, len(scene.layers) - 1)
        rows, columns = np.nonzero(layer.levels[0][..., 3] > 127)
        if len(rows) == 0:
            continue
        chosen = rng.integers(len(rows), size=len(times[pick]))
        texture = np.stack([columns[chosen], rows[chosen]], axis=1)
        points[pick] = layer.project(texture + rng.uniform(0, 1, texture.shape), times[pick])
    # Rounded first, so that the query is exactly the track's position in its frame.
    points = points.astype(np.float32).astype(np.float64)
    inside = (points >= 0).all(-1) & (points < (config.width, config.height)).all(-1)
    points, times = points[inside], times[inside]
    around = points + _EDGE * np.array([[[0, 0]], [[1, 0]], [[-1, 0]], [[0, 1]], [[0, -1]]])
    owners = scene.top_layer(around, np.broadcast_to(times, around.shape[:2]))
    owner = owners[0]
    clear = (owners == owner).all(axis=0)
    # Beyond its border the background is a mirror image: not a place to ask about.
    background = scene.layers[0]
    texture = background.locate(points, times)
    mirrored = (texture < 1).any(-1) | (texture > np.array(background.size) - 1).any(-1)
    clear &= ~(mirrored & (owner == 0))
    return np.concatenate([points, times[:, None], owner[:, None]], axis=1)[clear]


def _render(rng: np.random.Generator, scene: Scene, config: SyntheticConfig) -> np.ndarray:
    exposure = 0.0
    if config.photometric and rng.random() < config.motion_blur:
        exposure = rng.uniform(0.3, 0.8)
    moments = np.array([-1, 0, 1]) / 3 * exposure if exposure else np.zeros(1)
    # Symmetric about the frame's time: the blur does not move the tracks.
    times = np.arange(config.num_frames)[:, None] + moments
    frames = render_frames(scene, times.ravel())
    video = np.empty((config.num_frames, config.height, config.width, 3), np.uint8)
    for t in range(config.num_frames):
        if len(moments) == 1:
            video[t] = next(frames)
            continue
        total = np.zeros(video.shape[1:], np.uint16)
        for _ in moments:
            total += next(frames)
        video[t] = (total + len(moments) // 2) // len(moments)
    return video
