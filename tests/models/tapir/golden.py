"""Weights that are regenerated from their names, and golden cases of the published TAPIR."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.tapir import CONFIGS, Tapir

SYNTHETIC_CASE = Path(__file__).parent / "data" / "golden_synth_tapir.npz"
"""Video of three textured squares over a panning texture, made from integer arithmetic, with the
outputs that the published PyTorch TAPIR gives for it in float32 with `named_weights`."""

TRACK_TOLERANCE = 0.02  # pixels
LOGIT_TOLERANCE = 1e-3


def named_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weight of that name: standard normals seeded by the name, scaled by simple rules."""
    seed = zlib.crc32(name.encode("utf-8"))
    z = np.random.RandomState(seed).standard_normal(int(np.prod(shape)))
    z = z.astype(np.float32).reshape(shape)
    head = "torch_cost_volume_track_mods."
    if name in (f"{head}hid1.weight", f"{head}hid2.weight"):
        value = np.abs(z) * np.float32(0.5)
    elif name == f"{head}occ_out.weight":
        value = z
    elif name == f"{head}occ_out.bias":
        value = np.float32(0.1) * z - np.array([6.5, 4.0], np.float32)
    elif len(shape) >= 2:
        value = z / np.sqrt(np.float32(np.prod(shape[1:])))
    elif name.endswith(".weight"):
        value = 1 + np.float32(0.1) * z
    else:
        value = np.float32(0.1) * z
    if name.startswith("torch_pips_mixer.linear_1."):
        value[2:4] *= np.float32(0.25)
    return value


def named_network(config_name: str) -> Tapir:
    """The network of a configuration with weights made from their names."""
    with torch.device("meta"):
        network = Tapir(CONFIGS[config_name])
    state = {
        name: torch.from_numpy(named_weight(name, tuple(tensor.shape)))
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


@dataclass(frozen=True)
class GoldenCase:
    """Inputs as the network takes them, and all golden arrays."""

    video: torch.Tensor
    queries: torch.Tensor
    arrays: dict[str, np.ndarray]


def load_case(outputs: Path, inputs: Path | None = None) -> GoldenCase:
    with np.load(outputs) as file:
        arrays = dict(file)
    if inputs is not None:
        with np.load(inputs) as file:
            arrays |= dict(file)
    video = torch.from_numpy(arrays["video"]).float() / 255 * 2 - 1
    return GoldenCase(video[None], torch.from_numpy(arrays["query_points"]).float()[None], arrays)
