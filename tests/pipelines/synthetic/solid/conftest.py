from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from pipelines.synthetic.motion import Path
from pipelines.synthetic.solid.camera import Camera
from pipelines.synthetic.solid.poses import Poses
from pipelines.synthetic.solid.scene import Solid, SolidScene
from pipelines.synthetic.solid.shapes import Shape, box, glue_photos

Build = Callable[..., SolidScene]


def rest(value: Sequence[float]) -> Path:
    value = np.array(value, dtype=float)
    zero = np.zeros_like(value)
    return Path(value, zero, zero, np.zeros((0, 3, len(value))), 0.0)


@pytest.fixture
def still() -> Callable[[Sequence[float]], Path]:
    """A path that does not move."""
    return rest


@pytest.fixture
def camera() -> Callable[..., Camera]:
    """A camera at the origin, 1.5 m high, that looks along y; keywords replace its parts."""

    def make(**changes: Any) -> Camera:
        parts: dict[str, Any] = {
            "frame_size": (80, 64),
            "focal": 100.0,
            "position": rest([0, 0, 1.5]),
            "target": rest([0, 2, 1.5]),
            "orbit": rest([0]),
            "roll": rest([0]),
            "pivot": np.zeros(3),
        }
        return Camera(**(parts | changes))

    return make


@pytest.fixture
def build(camera: Callable[..., Camera]) -> Build:
    """A room 8 x 8 x 3 m with boxes in it, each given by its shape and position."""

    def make(
        shapes: Sequence[tuple[Shape, Sequence[float]]] = (),
        *,
        photos: Sequence[np.ndarray] | None = None,
        view: Camera | None = None,
        poses: Poses | None = None,
        shadow: float = 1.0,
    ) -> SolidScene:
        """`photos`: the room's, then one per shape."""
        rng = np.random.default_rng(0)
        if photos is None:
            photos = [rng.integers(0, 256, (64, 96, 3)).astype(np.uint8) for _ in range(9)]
        raised = box().stretched(np.array([4, 4, 1.5]))
        room = Shape(raised.vertices + np.array([0, 0, 1.5]), raised.loops).inside_out()
        solids = []
        for body, shape in enumerate([room, *(shape for shape, _ in shapes)]):
            count = len(shape.loops)
            sizes = np.tile(photos[body].shape[1::-1], (count, 1))
            scale = np.full(count, 0.9 * sizes.min() / np.ptp(shape.vertices, axis=0).max())
            frames = glue_photos(rng, shape, sizes, scale, np.zeros(count))
            solids.append(Solid(shape, frames, (body,) * count, body))
        if poses is None:
            places = np.array([[0.0, 0, 0], *(place for _, place in shapes)])
            turns = np.tile([1.0, 0, 0, 0], (1, len(places), 1))
            poses = Poses(np.zeros(1), places[None], turns)
        light = np.array([0, 0, 1.0])
        return SolidScene(tuple(solids), poses, view or camera(), tuple(photos), light, shadow)

    return make
