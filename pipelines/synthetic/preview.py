"""Look at synthetic clips: frames side by side with their tracks drawn in."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.synthetic.clip import SyntheticClip


def contact_sheet(clips: Sequence[SyntheticClip], columns: int = 6, zoom: int = 1) -> np.ndarray:
    """uint8 RGB image: one row of `columns` evenly spaced frames per clip, all of one size.

    A filled dot is a visible point, a ring a hidden one; colours follow the points.
    """
    return np.concatenate([_row(clip, columns, zoom) for clip in clips])


def _row(clip: SyntheticClip, columns: int, zoom: int) -> np.ndarray:
    count = len(clip.queries)
    colours = [
        tuple(int(255 * part) for part in colorsys.hsv_to_rgb(n / count, 0.9, 1.0))
        for n in range(count)
    ]
    frames = []
    for t in np.linspace(0, len(clip.video) - 1, columns).round().astype(int):
        height, width = clip.video.shape[1:3]
        frame = cv2.resize(
            clip.video[t], (width * zoom, height * zoom), interpolation=cv2.INTER_NEAREST
        )
        for n in range(count):
            x, y = clip.tracks[n, t] * zoom - 0.5
            if not (-1e4 < x < 1e4 and -1e4 < y < 1e4):
                continue
            hidden = bool(clip.occluded[n, t])
            place = (round(float(x) * 16), round(float(y) * 16))  # in 1/16 pixels
            cv2.circle(
                frame, place, 2 * zoom * 16, colours[n], 1 if hidden else -1, cv2.LINE_AA, shift=4
            )
        frames.append(frame)
    return np.concatenate(frames, axis=1)
