"""Sampling in few steps."""

from __future__ import annotations

from typing import Any

from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler


def fast_solver(scheduler: Any) -> Any:
    """DPM-Solver++ with the noise of a scheduler: 20 steps for trajectories, 8 for frames."""
    return DPMSolverMultistepScheduler.from_config(scheduler.config)
