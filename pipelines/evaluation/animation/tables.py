"""Scores as lines of text for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipelines.evaluation.animation.pixel import PixelReport
from pipelines.evaluation.animation.trajectory import TrajectoryReport

_NAME, _CELL = 18, 11


def trajectory_lines(report: TrajectoryReport) -> list[str]:
    """A line for each method, and one for the truth."""
    first = next(iter(report.methods.values()))
    counts = list(first.min_ade)
    titles = [
        *(f"minADE {count}" for count in counts),
        *(f"minFDE {count}" for count in counts),
        *("OA %", "jerk", "diversity", "motion"),
    ]
    lines = [_line(f"{report.num_clips} clips", titles)]
    for name, scores in report.methods.items():
        values = [
            *scores.min_ade.values(),
            *scores.min_fde.values(),
            *(100 * scores.occlusion_accuracy, scores.jerkiness, scores.diversity, scores.motion),
        ]
        lines.append(_line(name, [_number(value) for value in values]))
    known = [report.truth_jerkiness, math.nan, report.truth_motion]
    blank = [""] * (2 * len(counts) + 1)
    return [*lines, _line("truth", [*blank, *map(_number, known)])]


def pixel_lines(report: PixelReport) -> list[str]:
    """A line for each method."""
    titles = ["PSNR dB", "SSIM", "EPE mean", "EPE median", "<4px %"]
    lines = [_line(f"{report.num_clips} clips", titles)]
    for name, scores in report.methods.items():
        lines.append(
            _line(
                name,
                [
                    _number(scores.psnr),
                    _number(scores.ssim, 4),
                    _number(scores.retracked_mean),
                    _number(scores.retracked_median),
                    _number(100 * scores.retracked_near, 1),
                ],
            )
        )
    return lines


def _line(name: str, cells: Sequence[str]) -> str:
    return (f"{name:{_NAME}}" + "".join(f"{cell:>{_CELL}}" for cell in cells)).rstrip()


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"
