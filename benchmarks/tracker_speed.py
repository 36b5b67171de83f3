"""How fast the trackers are, next to what the hardware can multiply.

    python benchmarks/tracker_speed.py                  # tapir 256 points, tapir-mini dense
    python benchmarks/tracker_speed.py --device cuda

Times are medians of several runs on random weights (speed does not depend on their values).
Beside each stands the peak resident memory of a fresh process that does only that, and the share
of the time that the same arithmetic would take at the rate of a large matrix product measured in
the same run: a figure that compares machines.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import models
from models.tapir import CONFIGS, Tapir, TapirConfig
from models.tracker import Tracker

FRAMES, SIDE = 24, 256


@dataclass(frozen=True)
class Case:
    name: str
    points: int  # a square number: they lie on a grid
    dtype: str


CASES = (
    Case("tapir", 256, "float32"),
    Case("tapir", 256, "bfloat16"),
    Case("tapir", 4096, "bfloat16"),
    Case("bootstapir", 256, "bfloat16"),
    Case("tapir-mini", 256, "float32"),
    Case("tapir-mini", 4096, "float32"),
    Case("tapir-mini", 4096, "bfloat16"),
)


def tera_operations(config: TapirConfig, points: int) -> float:
    """Arithmetic of backbone and mixer, which is nearly all of it, in 10^12."""
    widths = (config.group_channels[0], *config.group_channels)
    cells = [(SIDE // s) ** 2 for s in (2, 4, 8, 8)]
    backbone = 3 * 49 * widths[0] * (SIDE // 2) ** 2
    for w_in, w_out, area in zip(widths, widths[1:], cells, strict=False):
        backbone += (9 * w_in * w_out + 27 * w_out * w_out + w_in * w_out) * area
    low = config.lowres_channels
    backbone += config.num_extra_convs * 2 * 9 * 4 * low * low * cells[2]
    c, e = config.mixer_channels, config.mixer_expansion
    mixer = config.mixer_blocks * (2 * e * c * c + 6 * e * c)
    return 2e-12 * FRAMES * (backbone + points * config.num_iterations * mixer)


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """10^12 operations a second of a 1024 x 1024 matrix product."""
    a = torch.randn(1024, 1024, device=device).to(dtype)
    times = []
    for _ in range(12):
        began = time.perf_counter()
        for _ in range(8):
            a @ a
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return 8 * 2 * 1024**3 / statistics.median(times[2:]) / 1e12


def measure(case: Case, device: str, runs: int) -> dict[str, Any]:
    torch.manual_seed(0)
    tracker = Tracker(Tapir(CONFIGS[case.name]), device=device, dtype=case.dtype)
    video = np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 3), np.uint8)
    side = round(case.points**0.5)
    queries = models.grid_queries(SIDE, SIDE, side, side)
    times = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(runs + 1):
        began = time.perf_counter()
        tracker.track(video, queries)
        times.append(time.perf_counter() - began)
    seconds = statistics.median(times[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate = matrix_rate(device, getattr(torch, case.dtype))
    floor = tera_operations(CONFIGS[case.name], case.points) / rate
    return {
        "seconds": seconds,
        "fastest": min(times[1:]),
        "peak_mb": peak / 1024,
        "loaded_mb": before / 1024,
        "tracks_per_second": case.points / seconds,
        "share_of_matrix_rate": floor / seconds,
        "matrix_rate": rate,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help="name of one configuration")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case is not None:
        print(json.dumps(measure(CASES[args.case], args.device, args.runs)))
        return
    print(f"{FRAMES} frames of {SIDE}x{SIDE}, {torch.get_num_threads()} threads, {args.device}")
    print("tracker      points  type      seconds  fastest  tracks/s  peak MB  of matrix rate")
    for index, case in enumerate(CASES):
        if args.only not in (None, case.name):
            continue
        command = [sys.executable, __file__, "--case", str(index), "--runs", str(args.runs)]
        done = subprocess.run(
            [*command, "--device", args.device], capture_output=True, text=True, check=True
        )
        r = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{case.name:<12} {case.points:>6}  {case.dtype:<9} {r['seconds']:>6.2f}  "
            f"{r['fastest']:>7.2f}  {r['tracks_per_second']:>8.0f}  {r['peak_mb']:>7.0f}  "
            f"{r['share_of_matrix_rate']:>6.0%} of {1000 * r['matrix_rate']:.0f} GFLOP/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
