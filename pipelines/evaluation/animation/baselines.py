"""Predictions of motion without a model, as a floor for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models import grid_queries
from pipelines.evaluation.animation.descriptor import describe_image, nearest

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Prediction:
    """K guesses of what a picture will do, in pixels of its model frame."""

    tracks: Float[np.ndarray, "k t 2 h w"]
    visible: Bool[np.ndarray, "k t h w"]


@dataclass(frozen=True, eq=False)
class Seen:
    """A clip as the methods are asked about it, or learn from it."""

    image: UInt8[np.ndarray, "s s 3"]
    tracks: Float[np.ndarray, "t 2 h w"]
    visible: Bool[np.ndarray, "t h w"]


Method = Callable[["UInt8[np.ndarray, 's s 3']", int, int], Prediction]
"""From a picture, the number of samples wanted (fewer where more would be the same) and the number
of the clip, which decides what is random."""


def no_motion(num_frames: int, size: int, grid: int) -> Method:
    """Everything stays where it is, and visible."""
    starts = grid_queries(size, size, grid, grid)[:, [2, 1]].T.reshape(2, grid, grid)
    tracks = np.repeat(starts[None], num_frames, axis=0)[None]
    standing = Prediction(tracks, np.ones((1, num_frames, grid, grid), bool))
    return lambda image, count, number: standing


def mean_motion(clips: Iterable[Seen]) -> Method:
    """Each point moves as it does on average in the training clips, where it is visible there.

    A point that is visible in less than half of them counts as hidden. Holds one clip at a time.
    """
    total: np.ndarray = np.zeros(())
    weight: np.ndarray = np.zeros(())
    count = 0
    for clip in clips:
        seen = clip.visible[:, None]
        total = total + np.where(seen, clip.tracks, 0)
        weight = weight + seen
        starts, count = clip.tracks[:1], count + 1
    if not count:
        raise ValueError("there are no training clips to take a mean of")
    # A point that is visible in no clip stays.
    mean = np.where(weight > 0, total / np.maximum(weight, 1), starts)
    guess = Prediction(mean.astype(np.float32)[None], weight[:, 0][None] * 2 >= count)
    return lambda image, samples, number: guess


class NearestImages:
    """The motion of the training clips whose first frames look most like the picture."""

    def __init__(self, images: Iterable[np.ndarray], clip: Callable[[int], Seen]) -> None:
        """images: first frames of the training clips in turn. clip: the one of a number."""
        self._descriptions = np.stack([describe_image(image) for image in images])
        self._clip = clip

    def __call__(self, image: UInt8[np.ndarray, "s s 3"], count: int, number: int) -> Prediction:
        """The K nearest, nearest first: its guess for one sample is the nearest of all."""
        places = nearest(describe_image(image), self._descriptions, count)
        found = [self._clip(place) for place in places]
        return Prediction(
            np.stack([clip.tracks for clip in found]), np.stack([clip.visible for clip in found])
        )
