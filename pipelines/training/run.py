"""Training on a machine with nothing but torch, numpy, pillow and opencv.

python -m pipelines.training.run --config CONFIG.toml --textures textures.npz --out OUT
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pipelines.synthetic import TextureBank
from pipelines.training.checkpoint import CHECKPOINT
from pipelines.training.config import load_config
from pipelines.training.log import Figures
from pipelines.training.real import RealClips
from pipelines.training.tracker import train

_MARGIN = 15.0  # seconds to spare, beside the longest step so far
_EVERY = 10.0  # seconds between two lines of figures
_MIB = 1 << 20


class Deadline:
    """Says when to stop, so that a step, a validation and a checkpoint still fit in."""

    def __init__(self, minutes: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before = clock()
        self._end = None if minutes is None else self._before + 60 * minutes
        self._longest = 0.0
        self.asked = False
        """Set by whoever wants the run to end at its next step."""

    def __call__(self) -> bool:
        now = self._clock()
        self._longest = max(self._longest, now - self._before)
        self._before = now
        late = self._end is not None and now + 1.5 * self._longest + _MARGIN > self._end
        return self.asked or late


class Lines:
    """Prints figures now and then: the means since the line before."""

    def __init__(self, steps: int, batch_size: int, device: torch.device) -> None:
        self._steps, self._batch_size, self._device = steps, batch_size, device
        self._since: list[Figures] = []
        self._printed = time.monotonic()

    def __call__(self, figures: Figures) -> None:
        self._since.append(figures)
        last = figures["step"] == self._steps
        if "val_aj" in figures or last or time.monotonic() - self._printed > _EVERY:
            print(self.line(), flush=True)
            self._since, self._printed = [], time.monotonic()

    def line(self) -> str:
        latest, count = self._since[-1], len(self._since)
        seconds = sum(figures["seconds"] for figures in self._since)
        waited = sum(figures["waited"] for figures in self._since)
        loss = sum(figures["loss"] for figures in self._since) / count
        parts = [
            f"step {latest['step']:.0f}/{self._steps}",
            f"loss {loss:.3f}",
            f"{count * self._batch_size / seconds:.1f} clips/s",
            f"waiting {100 * waited / seconds:.0f}%",
        ]
        if self._device.type == "cuda":
            parts.append(f"GPU {torch.cuda.max_memory_allocated(self._device) / 2**30:.1f} GiB")
        if "val_aj" in latest:
            parts.append(
                f"held-out AJ {100 * latest['val_aj']:.1f} delta {100 * latest['val_delta']:.1f} "
                f"OA {100 * latest['val_oa']:.1f}"
            )
        if "val_cycle" in latest:
            parts.append(f"cycle {100 * latest['val_cycle']:.1f}")
        return "  ".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done or stopped in time, 1 failed."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.training.run",
        description="Train a tracker as a configuration says. The command given again goes on "
        "from the checkpoint in OUT.",
    )
    options = _options(parser).parse_args(argv)
    deadline = Deadline(options.minutes)
    signal.signal(signal.SIGTERM, lambda *_: setattr(deadline, "asked", True))
    try:
        return _run(options, deadline)
    except (ValueError, OSError) as error:
        print(f"training: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--config", type=Path, required=True, help="TOML of the run")
    parser.add_argument(
        "--textures", type=Path, help="file of pipelines.training.pack; by default random textures"
    )
    parser.add_argument("--real", type=Path, help="packed real clips, for real_share")
    parser.add_argument("--teacher", type=Path, help="weights of the teacher on real clips")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and log")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--start", type=Path, help="weights to begin a new schedule with")
    begin.add_argument(
        "--resume", type=Path, help="checkpoint, or folder of one, to go on from while OUT has none"
    )
    parser.add_argument("--minutes", type=float, help="stop, with a checkpoint, before these end")
    parser.add_argument("--device", help="by default a GPU if there is one")
    parser.add_argument("--workers", type=int, help="processes making clips; default: cores - 1")
    parser.add_argument(
        "--part-mib",
        type=float,
        default=15.0,
        help="largest file of a checkpoint, which is split if need be; default: %(default)s",
    )
    return parser


def _run(options: argparse.Namespace, deadline: Deadline) -> int:
    config = load_config(options.config)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # every step has the same shapes
    workers = max(1, _cores() - 1) if options.workers is None else options.workers
    bank = (
        TextureBank.procedural(config.seed)
        if options.textures is None
        else TextureBank.load(options.textures)
    )
    textures, held_out = bank.split(0.1)
    resume = options.resume
    if resume is not None and resume.is_dir():
        resume = resume / CHECKPOINT
    print(
        f"{config.model}: {config.steps} steps of {config.batch_size} clips on {_name(device)}, "
        f"{workers} processes make clips from {len(textures.photos)} photos and "
        f"{len(textures.objects)} cut-outs",
        flush=True,
    )
    trainer = train(
        config,
        textures,
        held_out,
        options.out,
        start=options.start,
        resume=resume,
        real=None if options.real is None else RealClips.load(options.real),
        teacher=options.teacher,
        device=str(device),
        workers=workers,
        part_bytes=int(options.part_mib * _MIB),
        report=Lines(config.steps, config.batch_size, device),
        stop=deadline,
    )
    if trainer.step < config.steps:
        print(f"stopped at step {trainer.step} of {config.steps}: the same command goes on")
    return 0


def _cores() -> int:
    # Of this process: containers often have fewer than the machine.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


if __name__ == "__main__":
    sys.exit(main())
