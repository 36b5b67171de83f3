"""Figures of trajectories and frames in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.evaluation.animation.metrics import (
    average_errors,
    best_of,
    diversity,
    end_point_errors,
    final_errors,
    jerkiness,
    motion,
    occlusion_accuracy,
    psnr,
    ssim,
)

_T, _G = 4, 3


def still() -> np.ndarray:
    return np.zeros((_T, 2, _G, _G), np.float32)


def moved(step: tuple[float, float]) -> np.ndarray:
    """Every point moves by `step` a frame."""
    time = np.arange(_T, dtype=np.float32)[:, None, None, None]
    return still() + time * np.float32(step)[None, :, None, None]


def everywhere() -> np.ndarray:
    return np.ones((_T, _G, _G), bool)


def test_errors_average_over_frames_after_the_first() -> None:
    samples = np.stack([moved((3, 4)), still(), moved((0, 1))])
    assert average_errors(samples, still(), everywhere()) == pytest.approx([10, 0, 2])
    assert final_errors(samples, still(), everywhere()) == pytest.approx([15, 0, 3])


def test_hidden_points_do_not_count() -> None:
    sample = still()
    sample[2, :, 1, 1] = [6, 8]
    visible = everywhere()
    assert average_errors(sample[None], still(), visible) == pytest.approx([10 / 27])
    visible[2, 1, 1] = False
    assert average_errors(sample[None], still(), visible) == [0]
    visible[3] = False
    assert math.isnan(final_errors(sample[None], still(), visible)[0])
    # What is at the first frame is given.
    sample[0] += 100
    assert average_errors(sample[None], still(), visible) == [0]


def test_the_best_of_the_first_samples() -> None:
    assert best_of(np.array([3.0, 5, 1, 2]), (1, 2, 4, 20)) == {1: 3, 2: 3, 4: 1, 20: 1}


def test_occlusion_accuracy() -> None:
    truth = everywhere()
    truth[1:, 0] = False
    right, wrong = truth.copy(), truth.copy()
    wrong[1:] = ~wrong[1:]
    wrong[0] = False  # the first frame does not count
    assert occlusion_accuracy(np.stack([right]), truth) == 1
    assert occlusion_accuracy(np.stack([right, wrong]), truth) == 0.5
    assert occlusion_accuracy(np.stack([everywhere()]), truth) == pytest.approx(2 / 3)


def test_jerkiness_of_even_and_of_accelerated_motion() -> None:
    assert jerkiness(moved((3, 4)), everywhere()) == 0
    time = np.arange(_T, dtype=np.float32)[:, None, None, None]
    accelerated = still() + time**2 * np.float32([1.5, 2])[None, :, None, None]
    assert jerkiness(accelerated, everywhere()) == pytest.approx(5)
    both = np.stack([accelerated, still()])
    assert jerkiness(both, np.stack([everywhere()] * 2)) == pytest.approx(2.5)


def test_jerkiness_needs_three_frames_that_see_the_point() -> None:
    jump = still()
    jump[2, 0] = 1
    visible = everywhere()
    visible[2, 0] = False  # a row of three points is hidden where it jumps
    # Second differences are 1 (frames 0 to 2) and -2 (1 to 3).
    assert jerkiness(jump, everywhere()) == pytest.approx(1.5)
    assert jerkiness(jump, visible) == pytest.approx(1.5)
    visible[2] = False
    assert math.isnan(jerkiness(jump, visible))


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    samples = np.stack([still(), moved((1, 0)), moved((3, 0))])
    # After the first frame time is 2 on average; pairs are 1, 3 and 2 apart a frame.
    assert diversity(samples) == pytest.approx(2 * (1 + 3 + 2) / 3)
    assert diversity(np.stack([moved((1, 0))] * 2)) == 0
    assert math.isnan(diversity(samples[:1]))


def test_motion_is_the_distance_from_the_start() -> None:
    assert motion(moved((3, 4)) + 7, everywhere()) == pytest.approx(10)
    both = np.stack([everywhere()] * 2)
    assert motion(np.stack([still(), moved((3, 4))]), both) == pytest.approx(5)
    both[1, 3] = False  # the last frame of what moves
    assert motion(np.stack([still(), moved((3, 4))]), both) == pytest.approx((5 + 10) / 5)


def test_end_point_errors() -> None:
    wanted = np.zeros((2, 3, 2))
    tracks = wanted + np.array([3, 4])
    visible = np.array([[True, True, False], [True, False, True]])
    assert end_point_errors(tracks, wanted, visible).tolist() == [5, 5]


def test_psnr() -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    assert psnr(black, black) == math.inf
    assert psnr(black + np.uint8(255), black) == pytest.approx(0)
    assert psnr(black + np.uint8(51), black) == pytest.approx(20 * math.log10(5))


def test_ssim() -> None:
    image = np.random.default_rng(0).integers(0, 255, (32, 40, 3), dtype=np.uint8)
    assert ssim(image, image) == pytest.approx(1)
    # Of even pictures only the comparison of their means is left.
    one, other = np.full((32, 32, 3), 50, np.uint8), np.full((32, 32, 3), 100, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 50 * 100 + c1) / (50**2 + 100**2 + c1)
    assert ssim(one, other) == pytest.approx(expected)
    noise = np.random.default_rng(1).integers(0, 255, image.shape, dtype=np.uint8)
    assert abs(ssim(image, noise)) < 0.1
    # A negative about the mean has the opposite structure.
    assert ssim(image, 255 - image) < -0.5
