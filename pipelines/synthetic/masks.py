"""Random shapes that cut foreground layers out of photos."""

from __future__ import annotations

import cv2
import numpy as np

_FACTOR = 4  # shapes are drawn larger and shrunk: smooth edges


def random_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """uint8 alpha [height, width], 0 at the border: blobs, polygons, bars; some with holes."""
    canvas = np.zeros((height * _FACTOR, width * _FACTOR), np.uint8)
    kind = rng.random()
    if kind < 0.45:
        _fill(canvas, _blob(rng), 255)
    elif kind < 0.65:
        _fill(canvas, _polygon(rng), 255)
    elif kind < 0.75:
        _fill(canvas, _bar(rng), 255)
    else:  # a fence: parallel bars with gaps to look through
        bar = _bar(rng, lean=0.4)
        for shift in np.linspace(-0.8, 0.8, int(rng.integers(3, 7))):
            _fill(canvas, np.clip(bar + np.array([shift, 0]), -1, 1), 255)
    if rng.random() < 0.25:
        _fill(canvas, _blob(rng) * rng.uniform(0.3, 0.7) + rng.uniform(-0.2, 0.2, 2), 0)
    mask = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    mask[[0, -1]] = 0
    mask[:, [0, -1]] = 0
    return mask


def thin_mask(rng: np.random.Generator, height: int, width: int, thickness: float) -> np.ndarray:
    """uint8 alpha [height, width]: poles, hanging wires or branches, `thickness` pixels wide."""
    canvas = np.zeros((height * _FACTOR, width * _FACTOR), np.uint8)
    kind = rng.random()
    if kind < 0.35:
        for _ in range(int(rng.integers(1, 4))):
            start = np.array([rng.uniform(-0.9, 0.9), -1])
            _stroke(canvas, np.stack([start, start * [1, -1] + [rng.normal(0, 0.2), 0]]), thickness)
    elif kind < 0.65:
        along = np.linspace(-1, 1, 24)
        for _ in range(int(rng.integers(1, 5))):
            ends, sag = rng.uniform(-0.9, 0.9, 2), rng.uniform(0, 0.4)
            height_along = ends[0] + (ends[1] - ends[0]) * (along + 1) / 2 + sag * (1 - along**2)
            _stroke(canvas, np.stack([along, np.clip(height_along, -1, 1)], axis=1), thickness)
    else:
        for _ in range(int(rng.integers(1, 3))):
            root = np.array([rng.uniform(-0.5, 0.5), 1.0])
            _branch(rng, canvas, root, -np.pi / 2 + rng.normal(0, 0.2), 0.9, thickness * 1.5)
    mask = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    mask[[0, -1]] = 0
    mask[:, [0, -1]] = 0
    return mask


def _branch(
    rng: np.random.Generator,
    canvas: np.ndarray,
    root: np.ndarray,
    angle: float,
    length: float,
    thickness: float,
) -> None:
    """A crooked branch with smaller ones, until they are short."""
    steps = angle + np.cumsum(rng.normal(0, 0.18, 6))
    points = root + length / 6 * np.cumsum(np.stack([np.cos(steps), np.sin(steps)], 1), axis=0)
    points = np.clip(np.concatenate([root[None], points]), -1, 1)
    _stroke(canvas, points, thickness)
    if length < 0.25:
        return
    for place in rng.integers(2, 7, int(rng.integers(2, 4))):
        turn = rng.uniform(0.4, 1.0) * rng.choice([-1, 1])
        part = rng.uniform(0.4, 0.65)
        _branch(rng, canvas, points[place], steps[place - 1] + turn, part * length, 0.7 * thickness)


def _stroke(canvas: np.ndarray, line: np.ndarray, thickness: float) -> None:
    points = np.round((0.5 + 0.5 * line) * canvas.shape[::-1]).astype(np.int32)
    cv2.polylines(canvas, [points], False, 255, max(1, round(thickness * _FACTOR)))


def _fill(canvas: np.ndarray, outline: np.ndarray, value: int) -> None:
    """Fill a polygon given in units of half the canvas, from its centre."""
    points = (0.5 + 0.47 * outline) * canvas.shape[::-1]
    cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], value)


def _blob(rng: np.random.Generator) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = np.full_like(angle, 0.75)
    for order in range(2, 8):
        wave = np.cos(order * angle + rng.uniform(0, 2 * np.pi))
        radius += rng.normal(0, 0.35 / order) * wave
    return _circle(angle) * np.clip(radius, 0.15, 1)[:, None]


def _polygon(rng: np.random.Generator) -> np.ndarray:
    corners = int(rng.integers(3, 9))
    gaps = rng.dirichlet(np.full(corners, 3.0))
    angle = 2 * np.pi * np.cumsum(gaps)
    return _circle(angle) * rng.uniform(0.45, 1, corners)[:, None]


def _bar(rng: np.random.Generator, lean: float = np.pi / 2) -> np.ndarray:
    angle, half = np.pi / 2 + rng.uniform(-lean, lean), rng.uniform(0.05, 0.16)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]]) * half
    return np.stack([along + across, along - across, -along - across, -along + across]) * 0.95


def _circle(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
