from __future__ import annotations

import numpy as np

from pipelines.synthetic.solid.poses import (
    Poses,
    axis_quaternions,
    multiply,
    random_quaternion,
    rotation_matrices,
)


def rodrigues(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_quaternions_turn_about_their_axis() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        axis, angle = rng.standard_normal(3), rng.uniform(-3, 3)
        found = rotation_matrices(axis_quaternions(axis, np.array(angle)))
        np.testing.assert_allclose(found, rodrigues(axis, angle), atol=1e-12)


def test_a_product_turns_by_the_second_first() -> None:
    rng = np.random.default_rng(1)
    first, second = random_quaternion(rng), random_quaternion(rng)
    np.testing.assert_allclose(
        rotation_matrices(multiply(first, second)),
        rotation_matrices(first) @ rotation_matrices(second),
        atol=1e-12,
    )


def test_poses_are_straight_between_moments_and_rest_outside() -> None:
    turns = axis_quaternions(np.array([[0, 0, 1.0]] * 2), np.array([0.2, 0.6]))
    poses = Poses(np.array([0.0, 2.0]), np.array([[[0, 0, 0]], [[4.0, 0, 2]]]), turns[:, None])
    rotation, position = poses.at(np.array([-1.0, 0.5, 1.0, 2.0, 9.0]))
    np.testing.assert_allclose(position[:, 0, 0], [0, 1, 2, 4, 4])
    np.testing.assert_allclose(rotation[2, 0], rodrigues(np.array([0, 0, 1.0]), 0.4), atol=1e-12)
    np.testing.assert_allclose(rotation[4, 0], rodrigues(np.array([0, 0, 1.0]), 0.6), atol=1e-12)


def test_the_sign_of_a_quaternion_does_not_matter() -> None:
    turns = axis_quaternions(np.array([[0, 1.0, 0]] * 2), np.array([0.2, 0.6]))
    turns[1] *= -1
    poses = Poses(np.arange(2.0), np.zeros((2, 1, 3)), turns[:, None])
    rotation, _ = poses.at(np.array([0.5]))
    np.testing.assert_allclose(rotation[0, 0], rodrigues(np.array([0, 1.0, 0]), 0.4), atol=1e-12)


def test_a_single_moment_holds_for_ever() -> None:
    poses = Poses(np.zeros(1), np.ones((1, 2, 3)), np.tile([1.0, 0, 0, 0], (1, 2, 1)))
    rotation, position = poses.at(np.array([-3.0, 0.0, 7.0]))
    assert (position == 1).all()
    assert (rotation == np.eye(3)).all()
