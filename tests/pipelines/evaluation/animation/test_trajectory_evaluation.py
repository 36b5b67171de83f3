"""Methods whose scores are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from models import grid_queries
from pipelines.evaluation.animation.baselines import (
    NearestImages,
    Prediction,
    Seen,
    mean_motion,
    no_motion,
)
from pipelines.evaluation.animation.descriptor import describe_image, nearest
from pipelines.evaluation.animation.trajectory import evaluate_trajectories

_T, _S, _G = 4, 32, 4


def starts() -> np.ndarray:
    return grid_queries(_S, _S, _G, _G)[:, [2, 1]].T.reshape(2, _G, _G)


def moving(step: tuple[float, float]) -> np.ndarray:
    time = np.arange(_T, dtype=np.float32)[:, None, None, None]
    return starts() + time * np.float32(step)[None, :, None, None]


def seen(step: tuple[float, float], shade: int = 0) -> Seen:
    image = np.full((_S, _S, 3), shade, np.uint8)
    return Seen(image, moving(step), np.ones((_T, _G, _G), bool))


def samples(*steps: tuple[float, float]) -> Prediction:
    tracks = np.stack([moving(step) for step in steps])
    return Prediction(tracks, np.ones((len(steps), _T, _G, _G), bool))


def test_scores_of_a_method_that_knows_one_of_its_samples() -> None:
    steps = [(1.0, 0.0), (0.0, 0.0), (3.0, 4.0), (1.0, 0.0)]
    report = evaluate_trajectories(
        {"guess": lambda image, count, number: samples(*steps), "still": no_motion(_T, _S, _G)},
        [seen((3, 4))],
        size=_S,
        counts=(1, 2, 3),
    )
    guess, still = report.methods["guess"], report.methods["still"]
    scale = 256 / _S  # errors are measured at 256 pixels
    assert guess.min_ade == pytest.approx(
        {1: 2 * scale * math.hypot(2, 4), 2: 2 * scale * math.hypot(2, 4), 3: 0}
    )
    assert guess.min_fde[1] == pytest.approx(3 * scale * math.hypot(2, 4))
    assert still.min_ade == pytest.approx(dict.fromkeys((1, 2, 3), 10 * scale))
    assert guess.occlusion_accuracy == still.occlusion_accuracy == 1
    assert guess.jerkiness == report.truth_jerkiness == 0
    assert guess.diversity > 0
    assert math.isnan(still.diversity)
    assert report.truth_motion == pytest.approx(10 * scale)
    assert still.motion == 0
    assert report.num_clips == 1


def test_clips_are_averaged_and_those_without_points_left_out() -> None:
    hidden = seen((100, 100))
    hidden.visible[1:] = False
    report = evaluate_trajectories(
        {"still": no_motion(_T, _S, _G)}, [seen((1, 0)), seen((0, 3)), hidden], size=256
    )
    assert report.methods["still"].min_ade[5] == pytest.approx((2 + 6) / 2)
    assert report.methods["still"].occlusion_accuracy == pytest.approx(2 / 3)
    assert report.num_clips == 3


def test_a_report_is_json() -> None:
    report = evaluate_trajectories({"still": no_motion(_T, _S, _G)}, [seen((1, 0))], size=256)
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert values["methods"]["still"]["min_ade"] == {"1": 2, "5": 2, "20": 2}
    assert values["methods"]["still"]["diversity"] is None
    assert values["clips"] == 1


def test_nothing_to_evaluate() -> None:
    with pytest.raises(ValueError, match="no clips"):
        evaluate_trajectories({"still": no_motion(_T, _S, _G)}, [], size=256)
    with pytest.raises(ValueError, match="no training clips"):
        mean_motion([])


def test_progress_counts_clips() -> None:
    told: list[int] = []
    clips = [seen((1, 0))] * 3
    evaluate_trajectories({"still": no_motion(_T, _S, _G)}, clips, size=256, progress=told.append)
    assert told == [1, 2, 3]


def test_mean_motion_counts_what_is_visible() -> None:
    one, other = seen((1, 0)), seen((3, 2))
    one.visible[2, 0] = False
    one.visible[1, 1] = other.visible[1, 1] = False
    guess = mean_motion([one, other])(one.image, 5, 1)
    assert guess.tracks.shape == (1, _T, 2, _G, _G)
    step = guess.tracks[0] - starts()
    np.testing.assert_allclose(
        step[3], np.broadcast_to(3 * np.array([2, 1])[:, None, None], step[3].shape)
    )
    np.testing.assert_allclose(step[2, :, 0], 2 * np.array([[3.0] * _G, [2.0] * _G]))
    np.testing.assert_allclose(step[1, :, 1], 0)
    assert guess.visible[0, 2, 0].all()  # in half of the clips
    assert not guess.visible[0, 1, 1].any()


def gradient(angle: float, shade: float) -> np.ndarray:
    y, x = np.mgrid[:_S, :_S] / _S
    ramp = np.sin(12 * (x * math.cos(angle) + y * math.sin(angle)))
    return np.clip(shade + 60 * ramp[..., None] * [1, 0.8, 0.6], 0, 255).astype(np.uint8)


def test_the_nearest_image_is_the_one_that_looks_alike() -> None:
    images = [gradient(angle, shade) for angle in (0, 0.8, 1.6) for shade in (70, 180)]
    clips = [
        Seen(image, moving((k, 0)), np.ones((_T, _G, _G), bool)) for k, image in enumerate(images)
    ]
    method = NearestImages(images, clips.__getitem__)
    for k, image in enumerate(images):
        asked = np.clip(image.astype(int) + 6, 0, 255).astype(np.uint8)
        guess = method(asked, 3, 1)
        assert guess.tracks.shape == (3, _T, 2, _G, _G)
        np.testing.assert_array_equal(guess.tracks[0], moving((k, 0)))
        # In the other shade, the same direction is nearer than another.
        away = [
            np.linalg.norm(describe_image(image) - describe_image(i)) for i in images[~k & 1 :: 2]
        ]
        assert np.argmin(away) == k // 2


def test_descriptions() -> None:
    image = gradient(0.3, 120)
    assert np.linalg.norm(describe_image(image)) == pytest.approx(math.sqrt(2), abs=1e-5)
    assert np.isfinite(describe_image(np.zeros((5, 300, 3), np.uint8))).all()
    among = np.eye(3)
    assert nearest(np.array([0, 0.9, 0.1]), among, 2) == [1, 2]
    assert nearest(np.array([0, 0.9, 0.1]), among, 7) == [1, 2, 0]
