"""How fast the animation models are.

    python benchmarks/animation_speed.py                  # on the CPU with 1 and 2 threads
    python benchmarks/animation_speed.py --device cuda

Random weights (speed does not depend on their values), the default configurations, batches of one
image. Wall time is the median of several runs, on a machine that should have nothing else to do;
CPU time is what the process used, and can be compared on a busy one, too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from torch.utils.flop_counter import FlopCounterMode

from models.animation.composite import full_resolution_frames
from models.animation.motion_field import grid_centers
from models.animation.pixel_inputs import carry
from models.animation.pixel_model import PixelModel, pixel_scheduler
from models.animation.pixel_sampling import sample_pixels
from models.animation.surroundings import Box
from models.animation.trajectory_model import TrajectoryModel
from models.animation.trajectory_noise import trajectory_scheduler
from models.animation.trajectory_sampling import sample_trajectories
from models.animation.warp import warp_to_frame

STEPS, PIXEL_STEPS = 20, 8
FRAMES, SIDE, CELLS = 24, 256, 64
PHOTO = (512, 768)


def timed(work: Callable[[], object], runs: int, device: str) -> tuple[float, float]:
    """Median wall and CPU seconds, after one run to warm up."""
    wall, cpu = [], []
    for _ in range(runs + 1):
        began = time.perf_counter(), time.process_time()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    return statistics.median(wall[1:]), statistics.median(cpu[1:])


def giga_operations(work: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


def report(
    name: str, model: Any, cases: dict[str, Callable[[], object]], args: argparse.Namespace
) -> None:
    """Lines for one model, or for what needs none."""
    if args.only not in (None, name):
        return
    dtype = "float32" if model is None else str(model.dtype)[6:]
    for threads in args.threads if args.device == "cpu" else (1,):
        torch.set_num_threads(threads)
        for case, work in cases.items():
            wall, cpu = timed(work, args.runs, args.device)
            print(
                f"{name:<10}  {dtype:<8}  {threads:>7}  {case:<19} "
                f"{giga_operations(work):>7.1f}  {wall:>6.3f}  {cpu:>6.3f}",
                flush=True,
            )
    if model is not None:
        parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        print(f"{name}: {parameters:.1f} M parameters")


def trajectory_cases(model: TrajectoryModel, device: str) -> dict[str, Callable[[], object]]:
    """What a user waits for, by name: one step, and all of one image's steps."""
    size = model.encoding.size
    image = torch.zeros(1, 3, size, size, device=device)
    noisy = torch.randn(1, model.encoding.channels, *model.grid_shape, device=device)
    features = model.encode_image(image)
    scheduler = DPMSolverMultistepScheduler.from_config(trajectory_scheduler().config)
    return {
        "image features": lambda: model.encode_image(image),
        "one step": lambda: model(noisy, 500, features),
        f"{STEPS} steps, guided": lambda: sample_trajectories(
            model, scheduler, image, steps=STEPS, guidance=2.0
        ),
    }


def wavy_tracks(device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Tracks of a picture that sways more and more, and their visibility."""
    points = grid_centers(CELLS, CELLS, torch.zeros(1, device=device)) * (SIDE / CELLS)
    sways = [points + t * torch.sin(points.flip(0) / 25 + t / 4) for t in range(FRAMES)]
    return torch.stack(sways), torch.ones(FRAMES, CELLS, CELLS, device=device)


def warp_cases(device: str) -> dict[str, Callable[[], object]]:
    """Carrying the first frame to all frames, without a model."""
    tracks, visible = wavy_tracks(device)
    image = torch.zeros(1, 3, SIDE, SIDE, device=device).expand(FRAMES, -1, -1, -1)
    photo = np.zeros((*PHOTO, 3), np.uint8)
    box = Box((PHOTO[1] - PHOTO[0]) / 2, 0, PHOTO[0], PHOTO[0])
    return {
        f"{FRAMES} frames": lambda: warp_to_frame(image, tracks, visible),
        f"{FRAMES} of {PHOTO[1]}x{PHOTO[0]}": lambda: list(
            full_resolution_frames(photo, tracks, visible, None, box)
        ),
    }


def pixel_cases(model: PixelModel, device: str) -> dict[str, Callable[[], object]]:
    """One step of one frame and of a block, and all steps of all frames."""
    tracks, visible = wavy_tracks(device)
    image = torch.zeros(1, 3, SIDE, SIDE, device=device)
    features = model.encode_image(image).float()
    known = carry(image, features, tracks[3:4], visible[3:4])
    noisy = torch.randn(8, 9, SIDE, SIDE, device=device)
    known8 = [v.expand(8, -1, -1, -1) for v in (known.warped, known.covered, known.features)]
    scheduler = DPMSolverMultistepScheduler.from_config(pixel_scheduler().config)
    return {
        "image features": lambda: model.encode_image(image),
        "one frame, step": lambda: model(noisy[:1], 500, *(v[:1] for v in known8)),
        "8 frames, one step": lambda: model(noisy, 500, *known8),
        f"{FRAMES} frames, {PIXEL_STEPS} steps": lambda: sample_pixels(
            model, scheduler, image, tracks, visible, steps=PIXEL_STEPS
        ),
    }


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the CPU")
    parser.add_argument("--only", choices=("trajectory", "pixel", "warp"))
    args = parser.parse_args()
    print("model       dtype     threads  what                  GFLOP  wall s   CPU s")
    for dtype in (torch.float32, torch.bfloat16):
        model = TrajectoryModel().eval().to(args.device, dtype=dtype)
        report("trajectory", model, trajectory_cases(model, args.device), args)
    for dtype in (torch.float32, torch.bfloat16):
        pixel_model = PixelModel().eval().to(args.device, dtype=dtype)
        pixel_model = pixel_model.to(memory_format=torch.channels_last)
        report("pixel", pixel_model, pixel_cases(pixel_model, args.device), args)
    report("warp", None, warp_cases(args.device), args)


if __name__ == "__main__":
    main()
