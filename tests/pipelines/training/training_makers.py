"""A network, textures and settings small enough to train within a test."""

from __future__ import annotations

import dataclasses

import torch

from pipelines.synthetic import TextureBank
from pipelines.training.config import TrainConfig
from tests.models.small import SMALL

TINY = dataclasses.replace(
    SMALL,
    name="tiny",
    initial_resolution=(32, 32),
    mixer_blocks=1,
)

NARROW = {
    "group_channels": [8, 8, 16, 16],
    "cost_channels": [4, 8, 8],
    "mixer_channels": 16,
    "mixer_blocks": 1,
}
"""What makes a tapir-mini tiny, for processes that do not know TINY."""


def textures() -> TextureBank:
    return TextureBank.procedural(seed=1, count=2, size=48)


def tiny_config(**changes: object) -> TrainConfig:
    """Four steps of one clip; needs the fixture `tiny_model`."""
    config = TrainConfig(
        model="tiny",
        size=32,
        num_frames=4,
        num_queries=4,
        num_iterations=2,
        batch_size=1,
        steps=4,
        warmup_steps=2,
        bf16=False,
        validation_clips=1,
        validate_every=100,
        checkpoint_every=1,
    )
    return dataclasses.replace(config, **changes)  # type: ignore[arg-type]


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
