"""Query points of a scene, and where they are in every frame."""

from __future__ import annotations

import numpy as np

from pipelines.synthetic.config import SyntheticConfig
from pipelines.synthetic.scene import Scene

_EDGE = 1.5  # pixels between a query and the nearest edge of a layer


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
