"""Mirroring and reversing of clips with their tracks: other clips, at no cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

_STREAM = 1  # of random numbers: none that makes a clip


@dataclass(frozen=True)
class Example:
    """A clip to learn from; positions in its pixels (docs/coordinates.md)."""

    video: UInt8[np.ndarray, "t h w 3"]
    queries: Float[np.ndarray, "n 3"]
    """(t, y, x)."""
    tracks: Float[np.ndarray, "n t 2"]
    """(x, y)."""
    occluded: Bool[np.ndarray, "n t"]


def mirrored(example: Example) -> Example:
    """Left and right exchanged."""
    width = example.video.shape[2]
    queries, tracks = example.queries.copy(), example.tracks.copy()
    queries[:, 2] = width - queries[:, 2]
    tracks[..., 0] = width - tracks[..., 0]
    return replace(example, video=example.video[:, :, ::-1], queries=queries, tracks=tracks)


def reversed_in_time(example: Example) -> Example:
    """The last frame first."""
    queries = example.queries.copy()
    queries[:, 0] = len(example.video) - 1 - queries[:, 0]
    return Example(example.video[::-1], queries, example.tracks[:, ::-1], example.occluded[:, ::-1])


def augmented(example: Example, number: int, *, mirror: bool, reverse: bool) -> Example:
    """Clip `number`, mirrored and reversed or not: its number decides, nothing else does."""
    draws = np.random.default_rng([number, _STREAM]).random(2) < 0.5
    if mirror and draws[0]:
        example = mirrored(example)
    if reverse and draws[1]:
        example = reversed_in_time(example)
    return example
