"""A TAPIR small enough for quick tests, with random but well-behaved weights."""

from __future__ import annotations

import dataclasses

import torch

from models.tapir import CONFIGS, Tapir, TapirConfig

SMALL = dataclasses.replace(
    CONFIGS["tapir-mini"],
    name="small",
    group_channels=(8, 8, 16, 16),
    cost_channels=(4, 8, 8),
    mixer_channels=16,
    mixer_blocks=2,
    num_iterations=2,
    initial_resolution=(64, 64),
)


def small_network(**changes: object) -> Tapir:
    torch.manual_seed(0)
    config: TapirConfig = dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]
    return Tapir(config).eval()
