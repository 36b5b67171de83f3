"""How near an extraction comes to its bare tracker, and what it costs around it.

    python benchmarks/extract_speed.py                  # both parts, about 20 minutes on 2 cores
    python benchmarks/extract_speed.py --quick          # a few small clips: whether all of it works
    python benchmarks/extract_speed.py light --device cuda
    python benchmarks/extract_speed.py overhead --clips 100 1000 10000
    python benchmarks/extract_speed.py overhead --full --clips 400   # of clips as large as usual

light: tracks per second of a run, after its first clips, over those of the tracker alone in a
process of its own with the same clips at hand; the bare loop is timed before and after, since
machines change their speed. overhead: milliseconds per clip of a run whose tracker does nothing,
Ray being up already: planning, Beam, Ray calls, decoding of tiny clips, Parquet and commits; and
the same work (same functions, same shards) as Ray Data's map_batches. All files are made here, in
a temporary folder that is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from ray_data_job import Still, run_ray_data

from models import grid_queries
from pipelines.extract import ExtractSettings, Snapshot, default_factory, run_extract
from pipelines.extract.accounting import speed_of_light
from pipelines.extract.settings import settings_from_dict
from pipelines.render import demo_clip
from pipelines.video import plan_clips, read_clip, write_video

_CLIPS_PER_VIDEO = 8
_FULL = {"clip": {"cut_threshold": None}}
_TINY = {"grid": 4, "clip": {"size": 32, "num_frames": 6, "cut_threshold": None}}


# -- what is extracted


def make_videos(folder: Path, clips: int, frames: int, side: int) -> list[str]:
    """Videos of 8 clips each, one of them rendered and the others copies under other names."""
    folder.mkdir(parents=True)
    videos = -(-clips // _CLIPS_PER_VIDEO)
    first = folder / "00000.mp4"
    rendered = demo_clip(_CLIPS_PER_VIDEO * frames, side, side)
    write_video(first, rendered.video, rendered.fps)
    for number in range(1, videos):
        shutil.copyfile(first, folder / f"{number:05d}.mp4")
    return [str(path) for path in sorted(folder.glob("*.mp4"))]


def light_settings(quick: bool, tracker: str, grid: int, dtype: str) -> ExtractSettings:
    clip = {"size": 96, "num_frames": 8} if quick else {"size": 256, "num_frames": 24}
    values = {"tracker": tracker, "grid": 16 if quick else grid, "dtype": dtype, "shard_clips": 8}
    return settings_from_dict({**values, "clip": {**clip, "cut_threshold": None}})


# -- the speed of light


def bare_loop(sources: list[str], settings: ExtractSettings, warm: int, threads: int) -> float:
    """Tracks per second of the tracker alone, frames at hand, after `warm` clips."""
    import torch

    torch.set_num_threads(threads)
    specs = [spec for source in sources for spec in plan_clips(source, settings.clip).specs]
    frames = [read_clip(spec) for spec in specs]
    tracker = default_factory(settings)()
    height, width = frames[0].shape[1:3]
    queries = grid_queries(height, width, settings.grid, settings.grid)
    for video in frames[:warm]:
        tracker.track(video, queries)
    began = time.perf_counter()
    for video in frames[warm:]:
        tracker.track(video, queries)
    return len(queries) * (len(frames) - warm) / (time.perf_counter() - began)


def bare_in_process(sources: list[str], options: list[str], threads: int) -> float:
    """`bare_loop` in a process of its own, as the tracker of a run is."""
    order = json.dumps({"sources": sources, "threads": threads})
    command = [sys.executable, __file__, "light", *options, "--bare", order]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout.splitlines()[-1])


@dataclass
class Rates:
    """Keeps what a run has done at each moment that is told."""

    seen: list[Snapshot]

    def __call__(self, snapshot: Snapshot) -> None:
        self.seen.append(snapshot)

    def after(self, warm: int) -> float:
        """Tracks per second from the first moment with `warm` clips to the end."""
        last = self.seen[-1]
        first = next(item for item in self.seen if item.clips_done >= warm)
        if not last.tracking > first.tracking:
            raise SystemExit("too few clips after the first ones: give more --clips")
        return (last.tracks - first.tracks) / (last.tracking - first.tracking)


def light(args: argparse.Namespace, folder: Path) -> None:
    from pipelines.extract.cluster import ray_cluster
    from pipelines.extract.pool import plan_pool

    settings = light_settings(args.quick, args.tracker, args.grid, args.dtype)
    clips = 16 if args.quick else args.light_clips
    warm = clips // 4
    sources = make_videos(
        folder / "light", clips, settings.clip.num_frames, max(96, settings.clip.size)
    )
    clips = _CLIPS_PER_VIDEO * len(sources)
    options = ["--tracker", args.tracker, "--grid", str(args.grid), "--dtype", args.dtype]
    options += ["--device", args.device, *(["--quick"] if args.quick else [])]
    options += ["--light-clips", str(clips)]
    with ray_cluster(None) as cluster:
        pool = plan_pool(cluster.cpus, cluster.gpus, None)
    before = bare_in_process(sources, options, pool.threads)
    rates = Rates([])
    summary = run_extract(sources, str(folder / "light-out"), settings, progress=rates)
    after = bare_in_process(sources, options, pool.threads)
    bare = statistics.mean((before, after))
    achieved = rates.after(warm)
    print(
        f"{args.tracker}, {clips} clips of {settings.clip.num_frames} frames of "
        f"{settings.clip.size}x{settings.clip.size}, {settings.grid**2:,} points, {args.device}; "
        f"{pool.actors} trackers of {pool.threads} threads"
    )
    print(f"bare tracker    {before:,.1f} tracks/s before, {after:,.1f} after")
    print(f"extraction      {achieved:,.1f} tracks/s after {warm} clips, of all trackers")
    print(f"speed of light  {achieved / (bare * pool.actors):.3f}")
    last = rates.seen[-1]
    whole = speed_of_light(
        last.tracks,
        last.actors,
        last.working,
        last.seconds["track"],
        last.waits,
        max(0.0, last.working - last.tracking),
        bare,
    )
    print(f"ms of a process per clip: {stages_text(last.seconds, clips)}")
    if whole is not None:
        print("with the first clips and the last commit:")
        for name, text in whole.lines():
            print(f"  {name:<9} {text}")
    if summary.failures:
        raise SystemExit(f"{summary.failures} clips failed")


def stages_text(seconds: dict[str, float], clips: int) -> str:
    return ", ".join(f"{stage} {1000 * spent / clips:.1f}" for stage, spent in seconds.items())


# -- what is not the tracker's


@dataclass(frozen=True)
class Timing:
    """One run: wall seconds with Ray up already, and those after its trackers were ready."""

    clips: int
    seconds: float
    working: float | None = None
    driver: float = 0.0  # CPU seconds of this process
    stages: dict[str, float] = field(default_factory=dict)  # seconds, over all processes

    @property
    def per_clip(self) -> float:
        """Milliseconds."""
        return 1000 * self.seconds / self.clips


def by_extract(sources: list[str], output: str, settings: ExtractSettings) -> Timing:
    rates = Rates([])
    began, cpu = time.perf_counter(), time.process_time()
    summary = run_extract(sources, output, settings, factory=Still, progress=rates)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    if summary.failures:
        raise SystemExit(f"{summary.failures} clips failed")
    last = rates.seen[-1]
    return Timing(summary.clips, seconds, last.elapsed, cpu, last.seconds)


def by_ray_data(sources: list[str], output: str, settings: ExtractSettings) -> Timing:
    began = time.perf_counter()
    done = run_ray_data(sources, output, settings)
    return Timing(done, time.perf_counter() - began)


def overhead(args: argparse.Namespace, folder: Path) -> None:
    from pipelines.extract.cluster import ray_cluster

    settings = settings_from_dict({"num_actors": 1, **(_FULL if args.full else _TINY)})
    clip = settings.clip
    counts = [100] if args.quick else args.clips
    print("a tracker that does nothing; seconds of a run with Ray up, milliseconds per clip")
    print("  clips   tapirus s   ms/clip   after start   Ray Data s   ms/clip")
    with ray_cluster(None):
        for number, count in enumerate([_CLIPS_PER_VIDEO, *counts]):
            name = folder / f"videos-{number}"
            sources = make_videos(name, count, clip.num_frames, max(48, clip.size))
            ours = by_extract(sources, str(folder / f"ours-{number}"), settings)
            theirs = by_ray_data(sources, str(folder / f"theirs-{number}"), settings)
            if ours.clips != theirs.clips:
                raise SystemExit(f"{ours.clips} clips here, {theirs.clips} by Ray Data")
            if number:  # the first one starts Ray's workers
                after = 1000 * (ours.working or 0.0) / ours.clips
                print(
                    f"{ours.clips:>7}  {ours.seconds:>10.2f}  {ours.per_clip:>8.1f}  "
                    f"{after:>12.1f}  {theirs.seconds:>11.2f}  {theirs.per_clip:>8.1f}",
                    flush=True,
                )
                stages = stages_text(ours.stages, ours.clips)
                print(f"         of tapirus, ms of a process per clip: {stages}", flush=True)
                cpu = 1000 * ours.driver / ours.clips
                print(f"         CPU of the driver, ms per clip: {cpu:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", nargs="?", choices=("light", "overhead"), help="only this part")
    parser.add_argument("--quick", action="store_true", help="a few small clips")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--tracker", default="tapir-mini")
    parser.add_argument("--grid", type=int, default=64)
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--light-clips", type=int, default=56, help="a quarter is to warm up")
    parser.add_argument("--clips", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--full", action="store_true", help="overhead: 24 x 256x256, 4,096 points")
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # of Ray's processes, too
    if args.bare is not None:
        order = json.loads(args.bare)
        settings = light_settings(args.quick, args.tracker, args.grid, args.dtype)
        warm = (16 if args.quick else args.light_clips) // 4
        print(bare_loop(order["sources"], settings, warm, order["threads"]))
        return
    with tempfile.TemporaryDirectory(prefix="tapirus-speed-") as name:
        if args.part in (None, "light"):
            light(args, Path(name))
        if args.part in (None, "overhead"):
            overhead(args, Path(name))


if __name__ == "__main__":
    main()
