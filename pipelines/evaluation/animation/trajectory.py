"""Scores of methods that predict trajectories from a picture, on clips that they never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.evaluation.animation.baselines import Method, Prediction, Seen
from pipelines.evaluation.animation.metrics import (
    average_errors,
    best_of,
    diversity,
    final_errors,
    jerkiness,
    motion,
    occlusion_accuracy,
)

SCORED_SIZE = 256.0  # errors are in pixels of a frame of this size
COUNTS = (1, 5, 20)


@dataclass(frozen=True)
class TrajectoryScores:
    """Means over clips; lengths in pixels of a frame of 256 x 256."""

    min_ade: dict[int, float]
    """By number of samples: mean distance of the best sample, as a whole, from the truth."""
    min_fde: dict[int, float]
    occlusion_accuracy: float
    jerkiness: float
    """Mean second difference in time, px/frame²."""
    diversity: float
    """Mean distance between two samples; NaN for methods with one answer."""
    motion: float
    """Mean distance from the start, of what is predicted visible."""


@dataclass(frozen=True)
class TrajectoryReport:
    """Scores of all methods on the same clips."""

    methods: dict[str, TrajectoryScores]
    truth_jerkiness: float
    truth_motion: float
    num_clips: int

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN as null."""
        return {
            "clips": self.num_clips,
            "truth": {"jerkiness": self.truth_jerkiness, "motion": self.truth_motion},
            "methods": {name: plain(vars(scores)) for name, scores in self.methods.items()},
        }


def evaluate_trajectories(
    methods: Mapping[str, Method],
    clips: Iterable[Seen],
    *,
    size: int,
    counts: Sequence[int] = COUNTS,
    progress: Callable[[int], None] | None = None,
) -> TrajectoryReport:
    """Asks every method about the first frame of every clip, and averages the clips' scores.

    size: side of the model frame in pixels. progress: called with the number of clips done.
    Raises ValueError if there are no clips.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    truths = []
    scale = np.float32(SCORED_SIZE / size)
    for number, clip in enumerate(clips, 1):
        truth = clip.tracks * scale
        truths.append((jerkiness(truth, clip.visible), motion(truth, clip.visible)))
        for name, method in methods.items():
            guess = method(clip.image, max(counts), number)
            scaled = Prediction(guess.tracks * scale, guess.visible)
            found[name].append(_score(scaled, truth, clip.visible, counts))
        if progress is not None:
            progress(number)
    if not truths:
        raise ValueError("nothing to evaluate: no clips were given")
    smoothness, moved = mean_of_known(np.array(truths))
    return TrajectoryReport(
        {name: _summary(scores, counts) for name, scores in found.items()},
        float(smoothness),
        float(moved),
        len(truths),
    )


def _score(
    guess: Prediction, truth: np.ndarray, visible: np.ndarray, counts: Sequence[int]
) -> dict[str, float]:
    ade = best_of(average_errors(guess.tracks, truth, visible), counts)
    fde = best_of(final_errors(guess.tracks, truth, visible), counts)
    return {
        **{f"ade{count}": value for count, value in ade.items()},
        **{f"fde{count}": value for count, value in fde.items()},
        "occlusion_accuracy": occlusion_accuracy(guess.visible, visible),
        "jerkiness": jerkiness(guess.tracks, guess.visible),
        "diversity": diversity(guess.tracks),
        "motion": motion(guess.tracks, guess.visible),
    }


def _summary(scores: list[dict[str, float]], counts: Sequence[int]) -> TrajectoryScores:
    names = list(scores[0])
    means = mean_of_known(np.array([[score[name] for name in names] for score in scores]))
    mean = dict(zip(names, means.tolist(), strict=True))
    return TrajectoryScores(
        {count: mean[f"ade{count}"] for count in counts},
        {count: mean[f"fde{count}"] for count in counts},
        mean["occlusion_accuracy"],
        mean["jerkiness"],
        mean["diversity"],
        mean["motion"],
    )


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Over clips, the rows; a clip without a point to score has no score (NaN)."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.divide(total, count, out=np.full(values.shape[1], np.nan), where=count > 0)


def plain(value: Any) -> Any:
    """As JSON can hold it: keys as text, numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
