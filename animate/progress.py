"""One progress bar over all stages of an animation, with the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# What the stages cost, in seconds of two CPU cores; only their proportions matter.
LOADING = 6.0
_MOTION_STEP = 0.12  # and sample
_PIXEL_STEP = 1.5
_MEGAPIXEL = 0.6  # of one frame
_TEXT = {
    "loading": "loading the models",
    "motion": "finding a motion",
    "pixels": "painting what comes into view",
    "frames": "drawing the frames",
}


@dataclass(frozen=True)
class Work:
    """What an animation is made of."""

    samples: int
    steps: int
    """0: the trajectories are given."""
    pixel_steps: int
    num_frames: int
    megapixels: float

    def cost(self, stage: str) -> float:
        """Of one step of a stage."""
        return {
            "loading": LOADING,
            "motion": _MOTION_STEP * self.samples,
            "pixels": _PIXEL_STEP,
            "frames": _MEGAPIXEL * self.megapixels + 0.02,
        }[stage]

    @property
    def total(self) -> float:
        """Of everything."""
        one = self.pixel_steps * self.cost("pixels") + self.num_frames * self.cost("frames")
        return LOADING + self.steps * self.cost("motion") + self.samples * one


class Meter:
    """Told of finished steps, moves a bar."""

    def __init__(self, work: Work) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self.work = work
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task(_TEXT["loading"], total=work.total, count="")

    def step(self, stage: str, done: int, total: int) -> None:
        """One more step of a stage is done."""
        self.bar.update(
            self.task,
            advance=self.work.cost(stage),
            description=_TEXT[stage],
            count=f"{done}/{total}",
        )


@contextmanager
def progress_meter(work: Work) -> Iterator[Meter]:
    """A bar on standard error while that is a terminal, else nothing."""
    meter = Meter(work)
    with meter.bar:
        yield meter
