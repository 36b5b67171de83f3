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

import torch
from diffusers import DPMSolverMultistepScheduler
from torch.utils.flop_counter import FlopCounterMode

from models.animation.trajectory_model import TrajectoryModel
from models.animation.trajectory_noise import trajectory_scheduler
from models.animation.trajectory_sampling import sample_trajectories

STEPS = 20


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


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print("model       dtype     threads  what               GFLOP  wall s   CPU s")
    for dtype in (torch.float32, torch.bfloat16):
        model = TrajectoryModel().eval().to(args.device, dtype=dtype)
        parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        cases = trajectory_cases(model, args.device)
        for threads in (1, 2) if args.device == "cpu" else (1,):
            torch.set_num_threads(threads)
            for name, work in cases.items():
                wall, cpu = timed(work, args.runs, args.device)
                print(
                    f"trajectory  {str(dtype)[6:]:<9} {threads:>6}  {name:<17} "
                    f"{giga_operations(work):>6.1f}  {wall:>6.3f}  {cpu:>6.3f}",
                    flush=True,
                )
    print(f"{parameters:.1f} M parameters")


if __name__ == "__main__":
    main()
