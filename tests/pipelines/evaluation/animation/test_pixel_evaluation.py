"""Generated frames whose scores are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from models import grid_queries
from pipelines.evaluation.animation.pixel import FILMED, DrivenClip, evaluate_pixels
from pipelines.evaluation.animation.tables import pixel_lines, trajectory_lines
from pipelines.evaluation.animation.trajectory import TrajectoryReport, TrajectoryScores

_T, _S, _G = 3, 32, 4


def clip(step: float = 2.0) -> DrivenClip:
    """Noise; its tracks move `step` pixels a frame to the right."""
    frames = np.random.default_rng(0).integers(0, 200, (_T, _S, _S, 3), dtype=np.uint8)
    starts = grid_queries(_S, _S, _G, _G)[:, [2, 1]].T.reshape(2, _G, _G)
    time = np.arange(_T, dtype=np.float32)[:, None, None, None]
    tracks = starts + time * np.array([step, 0], np.float32)[:, None, None]
    return DrivenClip(frames, tracks, np.ones((_T, _G, _G), bool))


def track(video: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Finds every point where it started, moved by the brightness that was added."""
    added = np.float32(video[-1].min())
    tracks = np.repeat(queries[:, None, [2, 1]], len(video), axis=1)
    tracks[:, 1:, 0] += added
    return tracks


def test_scores_of_frames_that_are_off_by_a_constant() -> None:
    def brighter(given: DrivenClip, number: int) -> np.ndarray:
        assert number == 0
        drawn = given.frames.copy()
        drawn[1:] += 10
        return drawn

    report = evaluate_pixels({"brighter": brighter}, track, [clip()])
    scores = report.methods["brighter"]
    assert scores.psnr == pytest.approx(20 * math.log10(255 / 10))
    assert 0.5 < scores.ssim < 1
    lowest = float(clip().frames[-1].min()) + 10
    # The tracks should be 2 and 4 pixels to the right, at 256 pixels eight times as much.
    off = np.array([lowest - 2, lowest - 4]) * 256 / _S
    assert scores.retracked_mean == pytest.approx(off.mean())
    assert scores.retracked_median == pytest.approx(np.median(off))
    assert scores.retracked_near == 0
    filmed = report.methods[FILMED]
    assert math.isnan(filmed.psnr)  # infinite: no clip has a figure
    assert filmed.ssim == pytest.approx(1)


def test_points_that_are_hidden_are_not_looked_for() -> None:
    given = clip(step=0)
    given.visible[2] = False
    given.visible[1, :, 1:] = False
    given.tracks[1, 0, :, 0] -= 3 * _S / 256

    def same(one: DrivenClip, number: int) -> np.ndarray:
        return np.zeros_like(one.frames)

    scores = evaluate_pixels({"same": same}, track, [given]).methods["same"]
    assert scores.retracked_mean == pytest.approx(3, abs=1e-4)
    assert scores.retracked_near == 1
    given.visible[1:] = False
    scores = evaluate_pixels({"same": same}, track, [given]).methods["same"]
    assert math.isnan(scores.retracked_mean)
    assert math.isnan(scores.retracked_near)


def test_a_report_is_json_and_lines() -> None:
    told: list[int] = []
    report = evaluate_pixels({"m": lambda c, n: c.frames}, track, [clip(), clip()], told.append)
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert values["clips"] == 2
    assert values["methods"]["m"]["psnr"] is None
    assert told == [1, 2]
    head, model, filmed = pixel_lines(report)
    titles = ["PSNR", "dB", "SSIM", "EPE", "mean", "EPE", "median", "<4px", "%"]
    assert head.split() == ["2", "clips", *titles]
    assert model.split()[:3] == ["m", "-", "1.0000"]
    assert filmed.startswith(FILMED)


def test_nothing_to_evaluate() -> None:
    with pytest.raises(ValueError, match="no clips"):
        evaluate_pixels({}, track, [])


def test_lines_of_a_trajectory_report() -> None:
    scores = TrajectoryScores({1: 3.0, 5: 2.0}, {1: 5.0, 5: 4.0}, 0.87654, 0.5, math.nan, 6.0)
    lines = trajectory_lines(TrajectoryReport({"still": scores}, 0.25, 7.5, 9))
    assert lines[0].split()[:4] == ["9", "clips", "minADE", "1"]
    errors, others = ["3.00", "2.00", "5.00", "4.00"], ["87.65", "0.50", "-", "6.00"]
    assert lines[1].split() == ["still", *errors, *others]
    assert lines[2].split() == ["truth", "0.25", "-", "7.50"]
    assert len({len(lines[0]), len(lines[1]), len(lines[2])}) == 1
