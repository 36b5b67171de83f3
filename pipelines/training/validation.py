"""How good a network is on clips that it never learned from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.tapir import Estimate, Tapir
from pipelines.evaluation.benchmark import Metrics, TruthClip, evaluate
from pipelines.synthetic import TextureBank, make_clip
from pipelines.training.config import TrainConfig
from pipelines.training.data import VALIDATION_SEED
from pipelines.training.real import RealClips
from pipelines.training.teacher import cycle_share
from pipelines.training.views import View, make_view

if TYPE_CHECKING:
    from torch import Tensor

_FRAMES = 24


@torch.inference_mode()
def validate(network: Tapir, clips: Iterable[TruthClip], bf16: bool = True) -> Metrics:
    """TAP-Vid metrics ("strided", queries as given) of a network on clips with truth."""
    device = next(network.parameters()).device

    def track(video: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = torch.from_numpy(queries).to(device)[None]
        final = _tracked(network, torch.from_numpy(video).to(device)[None], points, bf16)
        return final.tracks[0].cpu().numpy(), ~final.visible()[0].cpu().numpy()

    return evaluate(track, clips, "strided")


@torch.inference_mode()
def validate_real(network: Tapir, views: Iterable[View], bf16: bool = True) -> float:
    """Share of tracks on real clips that lead back to where they began."""
    device = next(network.parameters()).device
    shares = [
        cycle_share(
            lambda video, queries: _tracked(network, video, queries, bf16),
            torch.from_numpy(view.clean).to(device)[None],
            torch.from_numpy(view.asked).to(device)[None],
        )
        for view in views
    ]
    return sum(shares) / len(shares)


def validation_clips(config: TrainConfig, textures: TextureBank, size: int) -> list[TruthClip]:
    """Held-out clips: seeds never trained on, at 24 frames of ``size`` × ``size``."""
    settings = dataclasses.replace(
        config.clips(),
        num_frames=_FRAMES,
        height=size,
        width=size,
        num_queries=config.num_queries,
    )
    made = (
        make_clip(VALIDATION_SEED + index, settings, textures)
        for index in range(config.validation_clips)
    )
    return [TruthClip(c.video, c.queries, c.tracks, c.occluded) for c in made]


def validation_views(config: TrainConfig, held_out: RealClips) -> list[View]:
    """Views of held-out real clips, 24 frames each; their clean sides are looked at."""
    return [
        make_view(
            held_out,
            VALIDATION_SEED + index,
            num_frames=_FRAMES,
            size=config.size,
            num_queries=config.num_queries,
            config=config.real,
        )
        for index in range(config.validation_clips)
    ]


def _tracked(network: Tapir, video: Tensor, queries: Tensor, bf16: bool) -> Estimate:
    frames = video.float() / 127.5 - 1
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=bf16):
        return network(frames, queries, query_chunk=64, frame_chunk=4)[0]
