"""Files with truth, and trackers whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.evaluation.methods import Method
from pipelines.video import write_video

WIDTH, HEIGHT = 128, 64


def write_clip(folder: Path, name: str, num_frames: int = 6, **arrays: np.ndarray) -> Path:
    """NAME.mp4 of 128 x 64 and NAME.npz with two still points, or with the arrays given."""
    folder.mkdir(exist_ok=True)
    ramp = np.linspace(0, 255, WIDTH).astype(np.uint8)
    frame = np.broadcast_to(ramp[None, :, None], (HEIGHT, WIDTH, 3))
    write_video(folder / f"{name}.mp4", [np.ascontiguousarray(frame)] * num_frames, 12)
    points = np.tile(np.array([[[9.5, 19.5]], [[63.5, 31.5]]]), (1, num_frames, 1))
    defaults = {"points_xy": points, "visible": np.ones((2, num_frames), bool)}
    np.savez(folder / f"{name}.npz", **{**defaults, **arrays})
    return folder / f"{name}.npz"


def drifting(step: float) -> Method:
    """Moves `step` pixels to the right for every frame away from the query, and sees all."""

    def track(video: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = np.abs(np.arange(len(video)) - queries[:, :1])
        tracks = queries[:, None, :0:-1] + step * away[..., None] * np.array([1.0, 0.0])
        return tracks, np.zeros(away.shape, bool)

    return Method(f"drift {step:g}", track)
