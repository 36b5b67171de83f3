"""`animate photo.jpg` from process start to the finished file: time and peak memory.

    python benchmarks/animate_speed.py                     # 256 x 256, the weights that come along
    python benchmarks/animate_speed.py --sides 256 512 1024 --device cpu --threads 2

Every row is a process of its own. The share of each stage follows from leaving stages out: without
the pixel model (--pixel-steps 0), and with --help for what starting Python alone takes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

PHOTO = Path(__file__).parents[1] / "animate" / "assets" / "photo.jpg"


@dataclass(frozen=True)
class Run:
    """What one process took."""

    wall: float
    cpu: float
    memory_mb: float


def animate(words: list[str], threads: int) -> Run:
    """Runs the command once."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "animate", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"animate {' '.join(words)} failed: status {status}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def square(side: int, folder: Path) -> Path:
    """The photo that comes along, its middle square, at this size."""
    photo = Image.open(PHOTO)
    edge = min(photo.size)
    left, top = (photo.width - edge) // 2, (photo.height - edge) // 2
    middle = photo.crop((left, top, left + edge, top + edge))
    path = folder / f"{side}.png"
    middle.resize((side, side), Image.Resampling.LANCZOS).save(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[256])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--model", help="folder of AnimationPipeline.save_pretrained")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(f"{'side':>6} {'':24} {'wall s':>8} {'CPU s':>8} {'peak MB':>8}")

    def row(side: str, what: str, run: Run) -> None:
        print(
            f"{side:>6} {what:24} {run.wall:8.1f} {run.cpu:8.1f} {run.memory_mb:8.0f}", flush=True
        )

    row("", "--help", animate(["--help"], options.threads))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in options.sides:
            words = [str(square(side, folder)), "-o", str(folder / "out.mp4")]
            words += ["--device", options.device]
            words += ["--model", options.model] if options.model else []
            row(str(side), "all of it", animate(words, options.threads))
            row(
                str(side),
                "without the pixel model",
                animate([*words, "--pixel-steps", "0"], options.threads),
            )


if __name__ == "__main__":
    main()
