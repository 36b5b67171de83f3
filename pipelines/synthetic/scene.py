"""A scene: textured planes in depth order, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.synthetic.config import SyntheticConfig
from pipelines.synthetic.layer import Layer, Ripple
from pipelines.synthetic.masks import random_mask
from pipelines.synthetic.motion import Motion, random_motion
from pipelines.synthetic.textures import TextureBank

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Scene:
    """Layers, the background first, and their depth order over time."""

    layers: tuple[Layer, ...]
    swap: tuple[int, int] | None = None  # two layers that exchange their depth ...
    swap_time: float = 0.0  # ... from this time on

    def order(self, time: float) -> list[int]:
        """Layer indices from back to front."""
        order = list(range(len(self.layers)))
        if self.swap is not None and time >= self.swap_time:
            a, b = self.swap
            order[a], order[b] = order[b], order[a]
        return order

    def depths(self, times: Float[np.ndarray, "*n"]) -> Int[np.ndarray, "*n layers"]:
        """Depth rank of every layer at each time; larger is nearer."""
        ranks = np.broadcast_to(np.arange(len(self.layers)), (*times.shape, len(self.layers)))
        ranks = ranks.copy()
        if self.swap is not None:
            late = times >= self.swap_time
            a, b = self.swap
            ranks[late, a], ranks[late, b] = b, a
        return ranks

    def top_layer(
        self, points: Float[np.ndarray, "*n 2"], times: Float[np.ndarray, "*n"]
    ) -> Int[np.ndarray, "*n"]:
        """Index of the layer seen at frame positions (x, y) at their times."""
        ranks = self.depths(times)
        for index, layer in enumerate(self.layers):
            covers = layer.coverage(layer.locate(points, times)) > 0.5
            ranks[..., index][~covers] = -1
        return ranks.argmax(axis=-1)


def random_scene(rng: np.random.Generator, config: SyntheticConfig, textures: TextureBank) -> Scene:
    """Draw a background, foreground layers, their motions and the camera's."""
    camera = random_motion(rng, config, static=rng.random() < config.static_camera)
    layers = [_background(rng, config, textures, camera)]
    count = int(rng.integers(config.min_layers, config.max_layers + 1))
    rgba = _cut_out(rng, textures)
    for _ in range(count):
        layers.append(_foreground(rng, config, rgba, camera))
        if rng.random() >= config.twin:
            rgba = _cut_out(rng, textures)
    swap = None
    if count >= 2 and rng.random() < config.reorder:
        below = int(rng.integers(1, count))
        swap = (below, below + 1)
    swap_time = config.num_frames * rng.uniform(0.2, 0.8)
    return Scene(tuple(layers), swap, swap_time)


def _background(
    rng: np.random.Generator, config: SyntheticConfig, textures: TextureBank, camera: Motion
) -> Layer:
    photo = textures.photos[int(rng.integers(len(textures.photos)))]
    photo = photo[:, ::-1] if rng.random() < 0.5 else photo
    unit = min(config.height, config.width)
    cover = max(config.height / photo.shape[0], config.width / photo.shape[1])
    scale = cover * rng.uniform(1.0, 1.6)
    angle = rng.normal(0, 0.1) * (rng.random() < 0.5)
    slack = [
        max(scale * photo.shape[1] - config.width, 0) / 2 / unit,
        max(scale * photo.shape[0] - config.height, 0) / 2 / unit,
    ]
    offset = (rng.uniform(-slack[0], slack[0]), rng.uniform(-slack[1], slack[1]))
    motion = random_motion(rng, config, static=True, offset=offset, scale=scale, angle=angle)
    levels = _mip_levels(photo)
    return Layer(levels, motion, camera, 1.0, (config.width, config.height), background=True)


def _foreground(
    rng: np.random.Generator, config: SyntheticConfig, rgba: np.ndarray, camera: Motion
) -> Layer:
    rgba = rgba[:, ::-1] if rng.random() < 0.5 else rgba
    unit = min(config.height, config.width)
    extent = np.exp(rng.uniform(np.log(0.2), np.log(1.1))) * unit  # longer side in the frame
    extent = min(extent, max(rgba.shape[:2]) * 2 * unit / 256)  # not blurred by enlarging
    levels = _mip_levels(_premultiply(rgba))
    # Details too small to be drawn must not decide what is occluded: leave them out.
    unseen = [level for level in levels[1:] if max(level.shape[:2]) > extent]
    levels = levels[len(unseen) :]
    scale = extent / max(levels[0].shape[:2])
    offset = (
        rng.uniform(-0.5, 0.5) * config.width / unit,
        rng.uniform(-0.5, 0.5) * config.height / unit,
    )
    angle = rng.normal(0, 0.15) if rng.random() < 0.5 else rng.uniform(-np.pi, np.pi)
    motion = random_motion(
        rng,
        config,
        static=rng.random() < config.static_layer,
        offset=offset,
        scale=scale,
        angle=angle,
    )
    ripple = _ripple(rng, levels[0].shape) if rng.random() < config.warp else None
    parallax = rng.uniform(0.8, 1.6)
    return Layer(levels, motion, camera, parallax, (config.width, config.height), ripple=ripple)


def _cut_out(rng: np.random.Generator, textures: TextureBank) -> np.ndarray:
    """RGBA: an object of the bank, or a random shape cut out of a photo."""
    if textures.objects and rng.random() < 0.5:
        return np.pad(
            textures.objects[int(rng.integers(len(textures.objects)))], ((1, 1), (1, 1), (0, 0))
        )
    photo = textures.photos[int(rng.integers(len(textures.photos)))]
    height = int(rng.integers(min(64, photo.shape[0]), photo.shape[0] + 1))
    width = int(rng.integers(min(64, photo.shape[1]), photo.shape[1] + 1))
    top = int(rng.integers(photo.shape[0] - height + 1))
    left = int(rng.integers(photo.shape[1] - width + 1))
    crop = photo[top : top + height, left : left + width]
    return np.dstack([crop, random_mask(rng, height, width)])


def _ripple(rng: np.random.Generator, shape: tuple[int, ...]) -> Ripple:
    length = rng.uniform(0.35, 1.2, 2) * max(shape[:2])
    direction = rng.uniform(0, 2 * np.pi, 2)
    number = 2 * np.pi / length
    slope = rng.uniform(0.05, 0.28, 2)
    return Ripple(
        _pair(slope / number),
        _pair(number * np.cos(direction)),
        _pair(number * np.sin(direction)),
        _pair(rng.uniform(-0.7, 0.7, 2)),
        _pair(rng.uniform(0, 2 * np.pi, 2)),
    )


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _premultiply(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.uint16)
    colour = (rgba[..., :3] * alpha + 127) // 255
    return np.concatenate([colour, alpha], axis=-1).astype(np.uint8)


def _mip_levels(texture: np.ndarray) -> tuple[np.ndarray, ...]:
    levels = [np.ascontiguousarray(texture)]
    while min(levels[-1].shape[:2]) >= 16 and len(levels) < 5:
        height, width = levels[-1].shape[:2]
        half = (width // 2, height // 2)
        levels.append(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA))
    return tuple(levels)
