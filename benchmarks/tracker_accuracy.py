"""How well a tracker tracks: TAP-Vid metrics beside Lucas-Kanade and standing still.

    python benchmarks/tracker_accuracy.py --photos PHOTOS --objects CUTOUTS
    python benchmarks/tracker_accuracy.py --truth A.npz B.npz --videos FOLDER
    python benchmarks/tracker_accuracy.py                      # procedural textures only

Synthetic clips come from seeds and textures that training never sees. Clips with truth are scored
at 256x256 over their first 48 frames, at most 128 points a clip, queried where they are first
seen. Their files hold points_xy [N, T, 2] with pixel centres at integers, and visible [N, T]; the
truth must be known on every frame. The video of A.npz is A.mp4.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import models
from pipelines.evaluation import (
    Metrics,
    TrackerFn,
    TruthClip,
    evaluate,
    lucas_kanade,
    sample_queries_first,
    stand_still,
)
from pipelines.synthetic import SyntheticConfig, TextureBank, make_clip
from pipelines.video import read_video

FIRST_SEED = 2_000_000_000  # neither trained nor validated on
SIDE, MOST_FRAMES, MOST_POINTS = 256, 48, 128


def synthetic_clips(bank: TextureBank, count: int) -> list[TruthClip]:
    made = (make_clip(FIRST_SEED + i, SyntheticConfig(), bank) for i in range(count))
    return [TruthClip(c.video, c.queries, c.tracks, c.occluded) for c in made]


def truth_clips(paths: list[Path], videos: Path) -> Iterator[tuple[str, TruthClip]]:
    """Clips with truth, squeezed to 256x256 as the benchmark's own protocol does."""
    for path in paths:
        video = videos / f"{path.stem}.mp4"
        frames = read_video(video, max_frames=MOST_FRAMES).frames
        height, width = frames.shape[1:3]
        with np.load(path) as file:
            points = file["points_xy"][:, : len(frames)].astype(np.float64) + 0.5
            visible = file["visible"][:, : len(frames)] & np.isfinite(points).all(-1)
        points = np.nan_to_num(points) * (SIDE / width, SIDE / height)
        seen = np.flatnonzero(visible.any(1))
        chosen = seen[np.random.default_rng(0).permutation(len(seen))[:MOST_POINTS]]
        small = [cv2.resize(f, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for f in frames]
        queries, rows = sample_queries_first(~visible[chosen], points[chosen])
        yield (
            path.stem,
            TruthClip(
                np.stack(small),
                queries.astype(np.float32),
                points[chosen][rows].astype(np.float32),
                ~visible[chosen][rows],
            ),
        )


def model_fn(tracker: models.Tracker) -> TrackerFn:
    def track(video: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = np.minimum(queries, (len(video) - 1, *video.shape[1:3])).clip(0)
        result = tracker.track(video, inside.astype(np.float32))
        return result.tracks, ~result.visible

    return track


def still(video: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return stand_still(queries, len(video))


def row(label: str, name: str, metrics: Metrics) -> str:
    return (
        f"{label:<16} {name:<14} {100 * metrics.average_jaccard:>5.1f}  "
        f"{100 * metrics.average_pts_within:>5.1f}  {100 * metrics.occlusion_accuracy:>5.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tracker", default="tapir-mini")
    parser.add_argument("--checkpoint")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--objects", type=Path)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--truth", type=Path, nargs="*", default=[], help="NAME.npz with truth")
    parser.add_argument("--videos", type=Path, default=Path("."), help="folder with NAME.mp4")
    args = parser.parse_args()
    bank = (
        TextureBank.from_folder(args.photos, args.objects)
        if args.photos
        else TextureBank.procedural(1)
    )
    methods: dict[str, TrackerFn] = {
        args.tracker: model_fn(
            models.load_tracker(args.tracker, args.checkpoint, None, args.dtype)
        ),
        "Lucas-Kanade": lucas_kanade,
        "standing still": still,
    }
    print(f"{'clips':<16} {'method':<14} {'AJ':>5}  {'delta':>5}  {'OA':>5}")
    held_out = synthetic_clips(bank.split(0.1)[1], args.clips)
    for name, method in methods.items():
        for mode in ("strided", "first"):
            print(row(f"synthetic {mode}", name, evaluate(method, held_out, mode)), flush=True)
    for label, clip in truth_clips(args.truth, args.videos):
        for name, method in methods.items():
            print(row(label, name, evaluate(method, [clip], "first")), flush=True)


if __name__ == "__main__":
    main()
