"""The tracker people call: uint8 video and query points in, tracks out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.budget import Chunks, choose_chunks
from models.checkpoints import load_network
from models.queries import check_queries
from models.tapir import Tapir

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

DTYPES = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class TrackResult:
    """Tracks of N query points through T frames (docs/coordinates.md)."""

    tracks: Float[np.ndarray, "n t 2"]
    """(x, y) in pixels of the given video."""
    occlusion: Float[np.ndarray, "n t"]
    """Logit: positive where the point is more likely hidden."""
    uncertainty: Float[np.ndarray, "n t"]
    """Logit: positive where the position is more likely off."""
    visible: Bool[np.ndarray, "n t"]
    """(1 - sigmoid(uncertainty)) * (1 - sigmoid(occlusion)) > 0.5, paper section 3.1."""


class Tracker:
    """A network on a device. Make one with :func:`load_tracker`."""

    def __init__(
        self,
        network: Tapir,
        *,
        device: str | torch.device | None = None,
        dtype: str = "auto",
        weights_digest: str = "",
    ) -> None:
        self.device = pick_device(device)
        self.dtype = pick_dtype(dtype, self.device)
        self.network = (
            network.eval().requires_grad_(False).to(self.device, self.dtype).channels_last()
        )
        self.weights_digest = weights_digest
        """First 16 hex digits of the weight file's SHA-256; empty for weights made in memory."""

    @property
    def name(self) -> str:
        return self.network.config.name

    @torch.inference_mode()
    def track(
        self,
        video: UInt8[np.ndarray, "t h w 3"],
        queries: Float[np.ndarray, "n 3"],
        progress: Callable[[int, int], None] | None = None,
    ) -> TrackResult:
        """Track every query through every frame.

        Args:
            video: RGB frames of any height, width and number.
            queries: points (t, y, x): frame index and raster pixels of ``video``; see
                :func:`models.grid_queries` for a grid.
            progress: called with (queries done, queries) now and then.

        Raises:
            ValueError: an array of another shape or type, or a query outside the video.
        """
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or not video.size:
            raise ValueError(
                "video must be uint8 with shape [T, H, W, 3] and at least one frame, got "
                f"{video.dtype} {list(video.shape)}"
            )
        num_frames, height, width = video.shape[:3]
        points = check_queries(queries, num_frames, height, width)
        if not len(points):
            none = np.zeros((0, num_frames), np.float32)
            return TrackResult(np.zeros((0, num_frames, 2), np.float32), none, none, none > 0)
        frames = torch.from_numpy(np.ascontiguousarray(video)).to(self.device)
        chunks = self.chunks(num_frames, height, width)
        final, _ = self.network(
            frames.float().div_(127.5).sub_(1.0)[None],
            torch.from_numpy(points).to(self.device)[None],
            query_chunk=chunks.queries,
            frame_chunk=chunks.frames,
            progress=progress,
        )
        return TrackResult(
            final.tracks[0].float().cpu().numpy(),
            final.occlusion[0].float().cpu().numpy(),
            final.uncertainty[0].float().cpu().numpy(),
            final.visible()[0].cpu().numpy(),
        )

    def chunks(self, num_frames: int, height: int, width: int) -> Chunks:
        """How many queries and frames are processed at once for such a video."""
        free = torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else None
        return choose_chunks(
            self.network.config,
            num_frames,
            (height, width),
            itemsize=self.dtype.itemsize,
            free_device_bytes=free,
        )


def load_tracker(
    name: str = "tapir-mini",
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str = "auto",
) -> Tracker:
    """A ready tracker.

    Args:
        name: ``tapir-mini`` (weights come with the package), or a published configuration:
            ``tapir``, ``bootstapir``, ``causal-tapir``, ``causal-bootstapir``.
        checkpoint: a weight file (.safetensors, .pt, .npy); by default the bundled or
            cached one, downloaded from where it was published if need be.
        device: ``cpu``, ``cuda``, ``cuda:1`` …; by default a GPU if there is one.
        dtype: ``auto`` is bfloat16 where the hardware computes it, else float32.

    Raises:
        models.CheckpointError: no such name, or weights missing, damaged or of another model.
        ValueError: unknown dtype.
    """
    network, digest = load_network(name, checkpoint)
    return Tracker(network, device=device, dtype=dtype, weights_digest=digest)


def pick_device(device: str | torch.device | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 where the hardware has instructions for it, not only emulation."""
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
    if dtype != "auto":
        return torch.float32 if dtype == "float32" else torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
