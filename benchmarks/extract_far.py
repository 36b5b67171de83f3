"""What calls ahead are worth where videos are far away and trackers are fast.

    python benchmarks/extract_far.py    # about 2 minutes on 2 cores

Decoding a clip waits 0.4 s, as for a bucket elsewhere, and tracking it takes 0.08 s, as on a GPU;
both only sleep, and the cluster has eight CPUs and a GPU on paper. Clips per second with three
calls ahead of the tracker, and with as many as the run comes to by itself, in turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

os.environ["RAY_AUTH_MODE"] = "disabled"  # read by Ray when it is imported

import numpy as np
import ray
from extract_speed import Rates, make_videos
from ray_data_job import Still

from models import TrackResult
from pipelines.extract import fleet, run_extract
from pipelines.extract.actors import Decoded, decode_clips
from pipelines.extract.settings import settings_from_dict
from pipelines.launch.local_cluster import local_cluster
from pipelines.launch.settings import LocalCluster
from pipelines.video import ClipSpec

_DECODING, _TRACKING = 0.4, 0.08  # seconds


def far_away(specs: Sequence[ClipSpec], limit: float | None) -> tuple[Decoded, ...]:
    """`decode_clips` from a bucket elsewhere."""
    found = []
    for spec in specs:
        time.sleep(_DECODING)
        (decoded,) = decode_clips([spec], limit)
        seconds = decoded.seconds + _DECODING
        found.append(Decoded(decoded.frames, decoded.problem, seconds, decoded.ended))
    return tuple(found)


class Fast(Still):
    """A tracker that does nothing for so long as a GPU would work."""

    def track(self, video: np.ndarray, queries: np.ndarray) -> TrackResult:
        time.sleep(_TRACKING)
        return super().track(video, queries)


def clips_per_second(address: str, in_flight: int | None, clips: int, folder: Path) -> float:
    settings = settings_from_dict({
        "grid": 4,
        "num_actors": 1,
        "in_flight": in_flight,
        "ray_address": address,
        "clip": {"size": 32, "num_frames": 6, "cut_threshold": None},
    })  # fmt: skip
    sources = make_videos(folder / "videos", clips, 6, 48)
    rates = Rates([])
    decode = ray.remote(num_cpus=fleet.DECODE_CPUS, max_retries=0)(far_away)
    with mock.patch.object(fleet, "_DECODE", decode):
        run_extract(sources, str(folder / "out"), settings, factory=Fast, progress=rates)
    return rates.after(clips // 4) * clips / rates.seen[-1].tracks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=240, help="a quarter is to warm up")
    clips = parser.parse_args().clips
    print(f"decoding {_DECODING} s, tracking {_TRACKING} s: {1 / _TRACKING} clips/s at most")
    with local_cluster(LocalCluster(nodes=1, cpus=8, gpus=1, object_store_mb=300)) as cluster:
        for in_flight in (3, None, 3, None):
            with tempfile.TemporaryDirectory(prefix="tapirus-far-") as name:
                rate = clips_per_second(cluster.address, in_flight, clips, Path(name))
            print(f"  calls ahead: {in_flight or 'by itself':<10} {rate:6.2f} clips/s", flush=True)


if __name__ == "__main__":
    main()
