"""Draw a whole solid scene: what is in the room, how it moves, and who films it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.synthetic.config import SyntheticConfig
from pipelines.synthetic.motion import random_speed
from pipelines.synthetic.solid.camera import Camera, random_camera
from pipelines.synthetic.solid.config import SolidConfig
from pipelines.synthetic.solid.layout import Layout, add_clutter, add_object, random_room
from pipelines.synthetic.solid.physics import Body, simulate
from pipelines.synthetic.solid.poses import Poses, axis_quaternions, multiply
from pipelines.synthetic.solid.scene import SolidScene
from pipelines.synthetic.textures import TextureBank

_FASTEST = 15 / 256  # short sides per frame; beyond, a scene leaves the frame too soon
_CLEARANCE = 0.25  # metres between the camera and whatever it might bump into
_KNOTS = 4  # poses per frame of a gliding object
_CAMERAS = 6  # paths tried before the camera stands still
_SLOWER = 8  # times that a path is made slower before another one is tried


def random_scene(
    rng: np.random.Generator, config: SyntheticConfig, textures: TextureBank, solid: SolidConfig
) -> SolidScene:
    """A room with clutter before a moving camera, with gliding objects, or with falling ones."""
    layout = random_room(rng, textures)
    count = int(rng.integers(solid.min_objects, solid.max_objects + 1))
    kind = rng.random()
    moves = kind < solid.falling + solid.floating
    moving = count - int(rng.integers(0, count // 2 + 1)) if moves else 0
    for _ in range(count - moving):
        add_clutter(layout)
    falling = kind < solid.falling
    drawn = [add_object(layout, 0.2, 2.2 if falling else 1.8) for _ in range(moving)]
    objects = [body for body in drawn if body is not None]
    if falling:
        poses = _fall(layout, objects, config)
    elif moves:
        poses = _glide(layout, objects, config)
    else:
        poses = _at_rest(layout.bodies)

    light = np.array([*rng.normal(0, 0.45, 2), 1.0])
    shadow = rng.uniform(0.35, 0.75) if rng.random() < solid.shadows else 1.0
    size = (config.width, config.height)

    def draw_camera() -> Camera:
        return random_camera(rng, solid, size, config.num_frames, layout.eye, layout.target)

    scene = SolidScene(
        tuple(layout.solids),
        poses,
        draw_camera(),
        tuple(layout.photos),
        light / np.linalg.norm(light),
        float(shadow),
    )
    if config.num_frames == 1 or (moves and rng.random() < solid.static_camera):
        return replace(scene, camera=scene.camera.moved(0.0))
    speed = min(random_speed(rng, config), _FASTEST) * min(size)
    frames = np.arange(config.num_frames, dtype=np.float64)
    for _ in range(_CAMERAS):
        camera = _paced(scene, layout, frames, speed)
        if camera is not None:
            return replace(scene, camera=camera)
        scene = replace(scene, camera=draw_camera())
    return replace(scene, camera=scene.camera.moved(0.0))


def _at_rest(bodies: list[Body]) -> Poses:
    positions = np.stack([body.position for body in bodies])
    quaternions = np.stack([body.quaternion for body in bodies])
    return Poses(np.zeros(1), positions[None], quaternions[None])


def _glide(layout: Layout, objects: list[int], config: SyntheticConfig) -> Poses:
    """Objects on nearly straight ways, each with a speed and a spin of its own."""
    rng = layout.rng
    frames = np.arange(-_KNOTS, _KNOTS * config.num_frames + 1) / _KNOTS
    middle = (config.num_frames - 1) * rng.uniform(0.3, 0.7)
    rest = _at_rest(layout.bodies)
    positions = np.repeat(rest.positions, len(frames), axis=0)
    quaternions = np.repeat(rest.quaternions, len(frames), axis=0)
    slow = 24 / max(config.num_frames, 24)
    tau = (frames - middle)[:, None]
    for body in objects:
        depth = float(np.linalg.norm(positions[0, body] - layout.eye))
        speed = slow * depth / 1.2 * min(random_speed(rng, config), _FASTEST)
        heading = rng.standard_normal(3) * (1, 1, 0.7)
        way = tau * speed * heading / np.linalg.norm(heading)
        rate = rng.uniform(0.1, 0.35, 3)
        sway = 0.4 * speed / rate * rng.standard_normal(3)
        way = way + sway * np.sin(rate * tau + rng.uniform(0, 2 * np.pi, 3))
        positions[:, body] += way
        spin = slow * np.abs(rng.normal(0, 0.05)) * (rng.random() < 0.85)
        turn = axis_quaternions(
            np.broadcast_to(rng.standard_normal(3), (len(frames), 3)), spin * tau[:, 0]
        )
        quaternions[:, body] = multiply(turn, quaternions[:, body])
    return Poses(frames, positions, quaternions)


def _fall(layout: Layout, objects: list[int], config: SyntheticConfig) -> Poses:
    """Objects thrown into the room; the clip starts some time later."""
    rng = layout.rng
    bodies = list(layout.bodies)
    for body in objects:
        throw = rng.normal(0, 1, 3) * (0.9, 0.9, 0.8) + (0, 0, 0.5)
        bodies[body] = replace(
            bodies[body],
            fixed=False,
            velocity=tuple(throw.tolist()),
            spin=tuple(rng.normal(0, 2.5, 3).tolist()),
            friction=float(rng.uniform(0.2, 0.9)),
        )
    # A thing that moves 1.7 m/s, 3 m before a lens of 1.2 short sides, at the speed drawn.
    interval = min(random_speed(rng, config), _FASTEST) * 3 / 1.2 / 1.7
    interval = float(np.clip(interval, 1 / 120, 1 / 15))
    before = rng.uniform(0, 0.35) + interval
    width, depth = layout.extent[:2].tolist()
    times, positions, quaternions = simulate(
        bodies, (width, depth), before + interval * config.num_frames
    )
    return Poses((times - before) / interval, positions, quaternions)


def _paced(scene: SolidScene, layout: Layout, frames: np.ndarray, speed: float) -> Camera | None:
    """The scene's camera, made faster or slower until what stands still moves `speed` pixels a
    frame, and as much slower as it takes not to bump into anything; None if it bumps at once."""
    halt = scene.poses.at(frames[len(frames) // 2 : len(frames) // 2 + 1])[1][0]
    held = _at_rest([replace(body, position=halt[i]) for i, body in enumerate(layout.bodies)])
    still = replace(scene, poses=held)
    gain = 1.0
    for _ in range(3):
        camera = scene.camera.moved(gain)
        pace = max(_pace(replace(still, camera=camera), frames), 1e-3)
        gain *= float(np.clip(speed / pace, 0.1, 10))
    for _ in range(_SLOWER):
        camera = scene.camera.moved(gain)
        if _is_clear(scene, camera, layout, frames):
            return camera
        gain *= 0.75
    return None


def _pace(scene: SolidScene, frames: np.ndarray) -> float:
    """Mean movement, in pixels a frame, of points that are seen in the middle of the clip."""
    middle = len(frames) // 2
    near = frames[max(middle - 4, 0) : middle + 5]
    view = scene.view(near)
    width, height = scene.camera.frame_size
    grid = np.stack(np.meshgrid((np.arange(4) + 0.5) / 4, (np.arange(4) + 0.5) / 4), axis=-1)
    points = grid.reshape(-1, 2) * (width, height)
    index = np.full(len(points), int(np.searchsorted(near, frames[middle])))
    facets = view.cast(index, points)
    tracks, depths = view.project(facets, view.locate(index, facets, points))
    tracks = tracks[(depths > 0.2).all(axis=1)]
    if len(tracks) == 0:
        return float("inf")  # far too fast
    return float(np.linalg.norm(np.diff(tracks, axis=1), axis=-1).mean())


def _is_clear(scene: SolidScene, camera: Camera, layout: Layout, frames: np.ndarray) -> bool:
    look, position = camera.poses(frames)
    if (np.abs(position[:, :2]) > layout.extent[:2] - _CLEARANCE).any():
        return False
    if (position[:, 2] < 0.15).any() or (position[:, 2] > layout.extent[2] - _CLEARANCE).any():
        return False
    if (np.abs(look[:, 2, 2]) > 0.85).any():  # looks nearly straight up or down
        return False
    if np.linalg.norm(camera.target(frames) - position, axis=1).min() < 0.6:
        return False
    places = scene.poses.at(frames)[1]
    return not any(
        bounds.near(places[:, body], position, _CLEARANCE)
        for body, bounds in enumerate(layout.bounds[1:], start=1)
    )
