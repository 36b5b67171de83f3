"""How fast synthetic clips are made, next to the training step that uses them up.

    python benchmarks/synthetic_speed.py
    python benchmarks/synthetic_speed.py --photos PHOTOS --objects CUTOUTS --device cuda

One process on one core, in its own seconds of CPU time, so that other load does not count: clips
by OpenCV, clips by torch on the CPU and steps of tapir-mini on these clips. On a GPU clips and
steps are timed by the clock, and "make_clips" beside "make_clip" tells what drawing there saves.
The last column is how many such processes keep a step of 4 clips supplied without making it wait.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipelines.synthetic import SyntheticConfig, TextureBank, make_clip
from pipelines.synthetic.torch_render import TorchClips, make_clips
from pipelines.training.config import TrainConfig
from pipelines.training.data import Batch
from pipelines.training.trainer import Trainer

BATCH = 4
ITERATIONS = 4


@dataclass(frozen=True)
class Size:
    side: int
    frames: int
    queries: int


SIZES = (Size(128, 16, 32), Size(128, 24, 64), Size(256, 24, 64))


def seconds(work: Callable[[int], object], count: int, device: torch.device) -> float:
    """Seconds for one of `count` calls with numbers from 1: of the CPU, or by the clock.

    A call with 0 warms up.
    """
    on_cpu = device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    work(0)
    if not on_cpu:
        torch.cuda.synchronize(device)
    start = clock()
    for number in range(1, count + 1):
        work(number)
    if not on_cpu:
        torch.cuda.synchronize(device)
    return (clock() - start) / count


def step_seconds(size: Size, clips: TorchClips, steps: int, device: torch.device) -> float:
    config = TrainConfig(
        model="tapir-mini",
        size=size.side,
        num_frames=size.frames,
        num_queries=size.queries,
        num_iterations=ITERATIONS,
        batch_size=BATCH,
    )
    trainer = Trainer(config, str(device))
    batch = Batch(clips.video, clips.queries, clips.tracks, clips.occluded)
    return seconds(lambda _: trainer.train_step(batch), steps, device)


def measure(
    size: Size, bank: TextureBank, clips: int, steps: int, device: torch.device
) -> tuple[float, float, float]:
    """Seconds for a clip by OpenCV, for one by torch, and for a training step."""
    config = SyntheticConfig(size.frames, size.side, size.side, size.queries)
    by_opencv = seconds(lambda seed: make_clip(seed, config, bank), clips, torch.device("cpu"))
    drawn = max(1, clips // 4) if device.type == "cpu" else clips
    by_torch = seconds(lambda seed: make_clips([seed], config, bank, device), drawn, device)
    batch = make_clips(range(BATCH), config, bank, device)
    return by_opencv, by_torch, step_seconds(size, batch, steps, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", help="folder of photos; without it, procedural textures")
    parser.add_argument("--objects", help="folder of RGBA cut-outs, beside --photos")
    parser.add_argument("--clips", type=int, default=24, help="clips timed for each size")
    parser.add_argument("--steps", type=int, default=2, help="training steps timed")
    parser.add_argument("--device", default="cpu", help="of the torch renderer and of training")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    if options.photos:
        bank = TextureBank.from_folder(options.photos, options.objects)
    else:
        bank = TextureBank.procedural()

    print(f"textures: {len(bank.photos)} photos, {len(bank.objects)} cut-outs; {device}, 1 thread")
    print(
        "| clips | make_clip, clips/s | make_clips, clips/s "
        f"| tapir-mini step of {BATCH} clips, s | processes for one step |"
    )
    print("|---|---|---|---|---|")
    for size in SIZES:
        by_opencv, by_torch, step = measure(size, bank, options.clips, options.steps, device)
        print(
            f"| {size.side}², {size.frames} frames, {size.queries} points | {1 / by_opencv:.1f} "
            f"| {1 / by_torch:.1f} | {step:.2f} | {BATCH * by_opencv / step:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
