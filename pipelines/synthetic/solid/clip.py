"""One clip of a solid scene: video, query points and their exact tracks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.synthetic.clip import SyntheticClip, expose
from pipelines.synthetic.config import SyntheticConfig
from pipelines.synthetic.photometric import degrade
from pipelines.synthetic.solid.config import SolidConfig
from pipelines.synthetic.solid.draw import draw_frames
from pipelines.synthetic.solid.random_scene import random_scene
from pipelines.synthetic.solid.scene import SolidScene, View
from pipelines.synthetic.textures import TextureBank

_EDGE = 1.5  # pixels between a query and the nearest edge of a solid
_FAR = 8.0  # tracks end this many frame sizes beyond the frame


def make_solid_clip(
    rng: np.random.Generator,
    config: SyntheticConfig,
    textures: TextureBank,
    solid: SolidConfig | None = None,
) -> SyntheticClip:
    """A clip of a room with solid bodies, filmed by a pinhole camera (`SolidConfig` defaults).

    The same state of `rng` and the same other arguments give the same bytes. Raises ImportError
    when a clip of falling objects is drawn and MuJoCo is missing.
    """
    scene = random_scene(rng, config, textures, solid or SolidConfig())
    queries, tracks, occluded = sample_tracks(rng, scene, config)
    once = config.num_frames

    def draw(times: np.ndarray) -> Iterator[np.ndarray]:
        # The pictures of one blurred frame smooth each other's edges.
        return draw_frames(scene.view(times), 2 if len(times) <= 2 * once else 1)

    video = expose(rng, draw, tracks, config)
    if config.photometric:
        video = degrade(rng, video, config)
    return SyntheticClip(video, queries, tracks, occluded)


def sample_tracks(
    rng: np.random.Generator, scene: SolidScene, config: SyntheticConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries [N, 3] at visible surface points, with their tracks [N, T, 2] and occlusion."""
    view = scene.view(np.arange(config.num_frames, dtype=np.float64))
    points, index, facets = _visible_points(rng, view, config)
    tracks, depths = view.project(facets, view.locate(index, facets, points))
    occluded = view.occluded(facets, tracks, depths)
    size = np.array(scene.camera.frame_size)
    tracks = np.clip(tracks, -_FAR * size, (1 + _FAR) * size)
    queries = np.concatenate([index[:, None], points[:, ::-1]], axis=1)
    return queries.astype(np.float32), tracks.astype(np.float32), occluded


def _visible_points(
    rng: np.random.Generator, view: View, config: SyntheticConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions [N, 2], frames [N] and facets [N] of points that are seen clearly."""
    wanted = config.num_queries
    rows: list[np.ndarray] = []
    front = back = 0
    for _ in range(4):
        found = _candidates(rng, view, config, 3 * wanted)
        rows.append(found)
        front += int((found[:, 4] > 0).sum())
        back += int((found[:, 4] == 0).sum())
        if min(front, back) >= wanted / 2:
            break
    found = np.concatenate(rows)
    if len(found) == 0:
        raise RuntimeError("no point of the solid scene is visible in the frame")
    solids, room = found[found[:, 4] > 0], found[found[:, 4] == 0]
    # A speck in front of the walls is not worth half of the queries.
    most = min(config.foreground_queries, 0.1 + 4 * len(solids) / len(found))
    share = min(round(most * wanted), len(solids))
    share = max(share, min(wanted - len(room), len(solids)))
    chosen = np.concatenate([solids[:share], room[: wanted - share]])
    if len(chosen) < wanted:
        chosen = chosen[rng.integers(len(chosen), size=wanted)]
    chosen = chosen[rng.permutation(wanted)]
    return chosen[:, :2], chosen[:, 2].astype(int), chosen[:, 3].astype(int)


def _candidates(
    rng: np.random.Generator, view: View, config: SyntheticConfig, count: int
) -> np.ndarray:
    """[K, 5] rows (x, y, frame, facet, solid) of visible points, away from the edges of solids."""
    index = rng.integers(config.num_frames, size=count)
    points = rng.uniform(0, 1, (count, 2)) * (config.width, config.height)
    # Rounded first, so that the query is exactly the track's position in its frame.
    points = points.astype(np.float32).astype(np.float64)
    around = points + _EDGE * np.array([[[0, 0]], [[1, 0]], [[-1, 0]], [[0, 1]], [[0, -1]]])
    seen = view.cast(np.tile(index, 5), around.reshape(-1, 2)).reshape(5, count)
    owners = view.scene.owners[seen]
    clear = (owners == owners[0]).all(axis=0) & (points < (config.width, config.height)).all(-1)
    return np.column_stack([points, index, seen[0], owners[0]])[clear]
