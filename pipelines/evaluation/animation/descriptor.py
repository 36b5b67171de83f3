"""A small description of a picture, to find one that looks like it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

_SIDE = 64  # pictures are compared at this size
_COLOUR_CELLS = 8
_GRADIENT_CELLS = 4
_DIRECTIONS = 8


def describe_image(image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, " d"]:
    """Where which colours lie (Lab, 8 x 8 cells) and which way edges run (4 x 4 cells, 8 ways).

    Both halves have length 1, so that layout and texture count alike; the distance of two pictures
    is the Euclidean distance of their descriptions. A mirrored picture has another description.
    """
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    cells = cv2.resize(lab, (_COLOUR_CELLS, _COLOUR_CELLS), interpolation=cv2.INTER_AREA)
    # About the middle of the colour space: else all pictures point the same way.
    colours = (np.asarray(cells) - np.array([50, 0, 0], np.float32)).ravel()
    return np.concatenate([_unit(colours), _unit(_gradients(lab[..., 0]))])


def nearest(
    description: Float[np.ndarray, " d"], among: Float[np.ndarray, "n d"], count: int
) -> list[int]:
    """The `count` nearest descriptions, nearest first; equal ones in their order."""
    distance = np.linalg.norm(among - description, axis=1)
    return np.argsort(distance, kind="stable")[:count].tolist()


def _gradients(grey: Float[np.ndarray, "s s"]) -> Float[np.ndarray, " d"]:
    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3)
    strength = np.hypot(dx, dy)
    # Directions without sign: an edge is the same from dark to bright and from bright to dark.
    turn = np.mod(np.arctan2(dy, dx), np.pi) / np.pi * _DIRECTIONS
    bins = np.floor(turn).astype(int) % _DIRECTIONS
    side, cells = _SIDE // _GRADIENT_CELLS, _GRADIENT_CELLS
    found = [
        np.where(bins == k, strength, 0).reshape(cells, side, cells, side).sum(axis=(1, 3))
        for k in range(_DIRECTIONS)
    ]
    return np.sqrt(np.stack(found)).ravel()


def _unit(values: np.ndarray) -> np.ndarray:
    return values / max(float(np.linalg.norm(values)), 1e-6)
