"""Rigid bodies that fall, collide and tumble, simulated by MuJoCo. Nothing is drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

TIMESTEP = 1 / 240  # seconds
GRAVITY = 9.81  # metres per second squared
DENSITY = 300.0  # kilograms per cubic metre: wood


@dataclass(frozen=True)
class Body:
    """A rigid body of one or more convex pieces; SI units."""

    pieces: tuple[Float[np.ndarray, "v 3"], ...]  # vertices of each, in body coordinates
    position: Float[np.ndarray, " 3"]
    quaternion: Float[np.ndarray, " 4"]  # (w, x, y, z)
    fixed: bool = True
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spin: tuple[float, float, float] = (0.0, 0.0, 0.0)  # radians per second, body axes
    friction: float = 0.6


def simulate(
    bodies: Sequence[Body], room: tuple[float, float], duration: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k body 3"], Float[np.ndarray, "k body 4"]]:
    """Times in seconds, positions and quaternions of the bodies at every step of the simulation.

    The floor is at z = 0; `room` gives the distances of the walls from the origin in x and y.
    The same arguments give the same bytes. Raises ImportError without MuJoCo.
    """
    mujoco = _import_mujoco()
    model = mujoco.MjModel.from_xml_string(_describe(bodies, room))
    data = mujoco.MjData(model)
    free = [i for i, body in enumerate(bodies) if not body.fixed]
    for joint, i in enumerate(free):
        # A free joint: 3 + 4 numbers for the pose, 3 + 3 for its rates.
        data.qpos[7 * joint : 7 * joint + 7] = [*bodies[i].position, *bodies[i].quaternion]
        data.qvel[6 * joint : 6 * joint + 6] = [*bodies[i].velocity, *bodies[i].spin]
    steps = int(np.ceil(duration / TIMESTEP))
    states = np.empty((steps + 1, len(free), 7))
    states[0] = data.qpos.reshape(-1, 7)
    for step in range(steps):
        mujoco.mj_step(model, data)
        states[step + 1] = data.qpos.reshape(-1, 7)
    positions = np.tile(np.stack([body.position for body in bodies]), (steps + 1, 1, 1))
    quaternions = np.tile(np.stack([body.quaternion for body in bodies]), (steps + 1, 1, 1))
    positions[:, free] = states[..., :3]
    quaternions[:, free] = states[..., 3:]
    return TIMESTEP * np.arange(steps + 1), positions, quaternions


def _import_mujoco() -> Any:
    try:
        import mujoco
    except ImportError as error:
        raise ImportError(
            "falling objects need MuJoCo: pip install 'tapirus[solid]', or set falling to 0"
        ) from error
    return mujoco


def _describe(bodies: Sequence[Body], room: tuple[float, float]) -> str:
    """The scene in MuJoCo's own XML format."""
    assets, world = [], []
    for i, body in enumerate(bodies):
        pose = f'pos="{_numbers(body.position)}" quat="{_numbers(body.quaternion)}"'
        parts = []
        for k, vertices in enumerate(body.pieces):
            name = f"m{i}_{k}"
            assets.append(f'<mesh name="{name}" vertex="{_numbers(vertices.ravel())}"/>')
            parts.append(
                f'<geom type="mesh" mesh="{name}" density="{DENSITY}" '
                f'friction="{_numbers([body.friction])}"/>'
            )
        joint = "" if body.fixed else "<freejoint/>"
        world.append(f"<body {pose}>{joint}{''.join(parts)}</body>")
    for axis in (0, 1):
        for sign in (-1, 1):
            place, inward = [0.0, 0.0, 0.0], [0, 0, 0]
            place[axis], inward[axis] = sign * room[axis], -sign
            world.append(
                f'<geom type="plane" size="0 0 1" pos="{_numbers(place)}" '
                f'zaxis="{_numbers(inward)}"/>'
            )
    return (
        f'<mujoco><option timestep="{TIMESTEP!r}" gravity="0 0 {-GRAVITY}" iterations="20"/>'
        f"<asset>{''.join(assets)}</asset><worldbody>"
        f'<geom type="plane" size="0 0 1"/>{"".join(world)}</worldbody></mujoco>'
    )


def _numbers(values: Sequence[float] | np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in values)
