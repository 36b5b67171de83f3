"""A scene: textured planes in depth order, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipelines.synthetic.camera import Camera, DrawnCamera, random_camera, still_camera
from pipelines.synthetic.config import SyntheticConfig
from pipelines.synthetic.deform import Deformation, random_bend, random_ripple
from pipelines.synthetic.layer import Layer
from pipelines.synthetic.motion import Path, at_rest, random_motion
from pipelines.synthetic.sprites import (
    cut_out,
    faded,
    mip_levels,
    photo_texture,
    premultiplied,
    thin_structure,
)
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
    drawn = random_camera(rng, config)
    layers = [_background(rng, config, textures, drawn)]
    count = int(rng.integers(config.min_layers, config.max_layers + 1))
    followed = -1
    if drawn.kind != "static" and rng.random() < config.followed:
        followed = int(rng.integers(max(count, 1)))
    look = _random_look(rng, config, textures)
    for index in range(count):
        camera = still_camera() if index == followed else drawn.camera
        body = layers[-1]
        if index and body.joint is None and not body.deformations and rng.random() < config.limb:
            layers.append(_limb(rng, config, look, body))
        else:
            layers.append(_foreground(rng, config, look, camera))
        if rng.random() >= config.twin:
            look = _random_look(rng, config, textures)
    swap = None
    if count >= 2 and rng.random() < config.reorder:
        below = int(rng.integers(1, count))
        swap = (below, below + 1)
    swap_time = config.num_frames * rng.uniform(0.2, 0.8)
    return Scene(tuple(layers), swap, swap_time)


@dataclass(frozen=True)
class _Look:
    """A foreground layer's picture, and how large to draw it."""

    rgba: np.ndarray
    extent: float  # longer side in the frame, in short sides of the frame


def _random_look(rng: np.random.Generator, config: SyntheticConfig, textures: TextureBank) -> _Look:
    if rng.random() < config.thin:
        extent = rng.uniform(0.6, 1.4)
        width = np.exp(rng.uniform(np.log(1.0), np.log(6.0))) / 256
        return _Look(thin_structure(rng, textures, width / extent), extent)
    rgba = cut_out(rng, textures)
    if rng.random() < config.plain:
        rgba = faded(rng, rgba)
    extent = np.exp(rng.uniform(np.log(0.25), np.log(1.4)))
    # Not blurred by enlarging it too much.
    return _Look(rgba, min(extent, max(rgba.shape[:2]) * 2 / 256))


def _background(
    rng: np.random.Generator, config: SyntheticConfig, textures: TextureBank, drawn: DrawnCamera
) -> Layer:
    photo = photo_texture(rng, textures)
    if rng.random() < 0.6 * config.plain:
        photo = faded(rng, photo)
    unit = min(config.height, config.width)
    cover = max(config.height / photo.shape[0], config.width / photo.shape[1])
    # A panning camera needs more of it than fits into the frame.
    scale = cover * rng.uniform(1.0, 1.6) * (1 + 0.5 * drawn.reach)
    angle = rng.normal(0, 0.1) * (rng.random() < 0.5)
    slack = [
        max(scale * photo.shape[1] - config.width, 0) / 2 / unit,
        max(scale * photo.shape[0] - config.height, 0) / 2 / unit,
    ]
    if drawn.reach:
        slack = [0.2 * part for part in slack]
    offset = (rng.uniform(-slack[0], slack[0]), rng.uniform(-slack[1], slack[1]))
    motion = at_rest(offset, scale, angle)
    size = (config.width, config.height)
    return Layer(mip_levels(photo), motion, drawn.camera, 1.0, size, background=True)


def _foreground(
    rng: np.random.Generator, config: SyntheticConfig, look: _Look, camera: Camera
) -> Layer:
    levels, scale = _levels(rng, config, look)
    unit = min(config.height, config.width)
    place = rng.uniform(-0.55, 0.55, 2) * (config.width, config.height) / unit
    angle = rng.normal(0, 0.15) if rng.random() < 0.5 else rng.uniform(-np.pi, np.pi)
    parallax = np.exp(rng.uniform(np.log(0.8), np.log(2.0)))
    # The place in the frame at one moment, wherever the camera looks then.
    middle = (config.num_frames - 1) * rng.uniform(0.1, 0.9)
    view = np.linalg.inv(camera.matrices(np.array([middle]), parallax)[0])
    x, y, depth = (view @ [*place, 1]).tolist()
    offset = (x / max(depth, 0.2), y / max(depth, 0.2))
    motion = at_rest(offset, scale, angle)
    if rng.random() >= config.static_layer:
        motion = random_motion(rng, config, middle=middle, offset=offset, scale=scale, angle=angle)
    return Layer(
        levels,
        motion,
        camera,
        parallax,
        (config.width, config.height),
        deformations=_deformations(rng, config, levels[0]),
    )


def _limb(rng: np.random.Generator, config: SyntheticConfig, look: _Look, body: Layer) -> Layer:
    """A layer that hangs on another one by a joint, and swings about it."""
    levels, scale = _levels(rng, config, look)
    width, height = body.size
    unit = min(config.height, config.width)
    place = rng.uniform(-0.25, 0.25, 2) * (width, height) / unit
    within = float(np.exp(body.motion.log_scale.offset[0]))
    rate = 2 * np.pi * np.exp(rng.uniform(np.log(0.02), np.log(0.1)))
    swing = np.array([[rng.uniform(0.2, 0.9)], [rate], [rng.uniform(0, 2 * np.pi)]])
    zero = np.zeros(1)
    rest = at_rest((place[0], place[1]), min(scale / within, 2.0))
    angle = Path(rng.uniform(-np.pi, np.pi, 1), zero, zero, swing[None], 0.0)
    return Layer(
        levels,
        replace(rest, angle=angle),
        body.camera,
        body.parallax,
        body.frame_size,
        anchor=(0.5, float(rng.uniform(0.05, 0.25))),
        joint=body.motion,
    )


def _levels(
    rng: np.random.Generator, config: SyntheticConfig, look: _Look
) -> tuple[tuple[np.ndarray, ...], float]:
    """Mip levels of a look, and the scale at which they have its extent in the frame."""
    rgba = look.rgba[:, ::-1] if rng.random() < 0.5 else look.rgba
    extent = look.extent * min(config.height, config.width)
    levels = mip_levels(premultiplied(rgba))
    # Details too small to be drawn must not decide what is occluded: leave them out.
    unseen = [level for level in levels[1:] if max(level.shape[:2]) > extent]
    levels = levels[len(unseen) :]
    return levels, extent / max(levels[0].shape[:2])


def _deformations(
    rng: np.random.Generator, config: SyntheticConfig, texture: np.ndarray
) -> tuple[Deformation, ...]:
    height, width = texture.shape[:2]
    drawn: list[Deformation] = []
    if rng.random() < config.bend:
        drawn.append(random_bend(rng, width, height))
    if rng.random() < config.warp:
        drawn.append(random_ripple(rng, width, height))
    return tuple(drawn)
