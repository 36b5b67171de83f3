from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from pipelines.synthetic.solid.physics import GRAVITY, TIMESTEP, Body, simulate
from pipelines.synthetic.solid.poses import random_quaternion, rotation_matrices
from pipelines.synthetic.solid.shapes import ball, box, prism

UPRIGHT = np.array([1.0, 0, 0, 0])
CUBE = 0.1 * box().vertices


def thrown(height: float, **changes: Any) -> Body:
    return Body((CUBE,), np.array([0.2, 0, height]), UPRIGHT, fixed=False, **changes)


def test_free_fall() -> None:
    times, positions, _ = simulate([thrown(20.0, velocity=(0.5, 0, 2.0))], (5, 5), 1.0)
    np.testing.assert_allclose(np.diff(times), TIMESTEP)
    # The integrator is semi-implicit: it falls s = g t (t + dt) / 2.
    expected = 20 + 2 * times - GRAVITY * times * (times + TIMESTEP) / 2
    np.testing.assert_allclose(positions[:, 0, 2], expected, atol=1e-6)
    np.testing.assert_allclose(
        positions[:, 0, 2], 20 + 2 * times - GRAVITY * times**2 / 2, atol=0.03
    )
    np.testing.assert_allclose(positions[:, 0, 0], 0.2 + 0.5 * times, atol=1e-6)


def test_spin_in_free_flight() -> None:
    times, _, quaternions = simulate([thrown(20.0, spin=(0, 0, 3.0))], (5, 5), 0.5)
    turned = rotation_matrices(quaternions[:, 0])
    np.testing.assert_allclose(turned[:, 0, 0], np.cos(3 * times), atol=1e-4)
    np.testing.assert_allclose(turned[:, 1, 0], np.sin(3 * times), atol=1e-4)


@pytest.mark.parametrize("shape", [box(), prism(5), ball(0)], ids=["box", "prism", "ball"])
def test_bodies_come_to_rest_on_the_floor(shape: Any) -> None:
    vertices = 0.15 * shape.vertices + np.array([0.05, 0, 0])  # off its centre of mass
    start = random_quaternion(np.random.default_rng(3))
    body = Body((vertices,), np.array([0, 0, 0.6]), start, fixed=False, spin=(2.0, 1.0, 0.5))
    _, positions, quaternions = simulate([body], (5, 5), 3.0)
    corners = vertices @ rotation_matrices(quaternions[:, 0]).swapaxes(1, 2) + positions[:, :1]
    # What is drawn touches the floor, and hardly sinks in.
    assert corners[..., 2].min() > -0.03
    assert abs(corners[-1, :, 2].min()) < 0.01


def test_bodies_collide_with_each_other_and_with_walls() -> None:
    left = thrown(1.0, velocity=(3.0, 0, 2.0))
    _, positions, _ = simulate([left], (0.6, 5), 1.0)
    assert positions[..., 0].max() < 0.6

    table = Body((CUBE * (5, 5, 1),), np.array([0.2, 0, 0.5]), UPRIGHT)
    _, positions, _ = simulate([table, thrown(1.0)], (5, 5), 1.5)
    assert (positions[:, 0] == [0.2, 0, 0.5]).all()  # fixed
    assert positions[-1, 1, 2] == pytest.approx(0.7, abs=0.02)  # lies on the table


def test_the_same_world_gives_the_same_bytes() -> None:
    bodies = [thrown(0.5 + 0.3 * i, spin=(1.0, i, 2.0)) for i in range(4)]
    first, again = (simulate(bodies, (5, 5), 1.0) for _ in range(2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))


def test_without_mujoco_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "mujoco":
            raise ImportError("No module named 'mujoco'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"tapirus\[solid\]"):
        simulate([thrown(1.0)], (5, 5), 0.1)
