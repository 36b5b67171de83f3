"""The tracker people call: uint8 video and query points in, tracks out."""

from __future__ import annotations

import copy
import dataclasses
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
from models.tapir.estimate import Estimate

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

    def with_iterations(self, count: int) -> Tracker:
        """This tracker with `count` refinement iterations at each level; the weights are shared.

        0 leaves the initialisation alone. Raises ValueError for a negative number.
        """
        if count < 0:
            raise ValueError(f"{count} refinement iterations: must be at least 0")
        other = copy.copy(self)
        other.network = copy.copy(self.network)
        other.network.config = dataclasses.replace(self.network.config, num_iterations=count)
        return other

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
        return _result(self._estimates(video, queries, progress)[0])

    def track_iterates(
        self,
        video: UInt8[np.ndarray, "t h w 3"],
        queries: Float[np.ndarray, "n 3"],
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[TrackResult, list[TrackResult]]:
        """As :meth:`track`, and every estimate on the way, to see what refinement does.

        The initialisation comes first, then each iteration of each level.
        """
        final, iterates = self._estimates(video, queries, progress)
        return _result(final), [_result(estimate) for estimate in iterates]

    @torch.inference_mode()
    def _estimates(
        self,
        video: np.ndarray,
        queries: np.ndarray,
        progress: Callable[[int, int], None] | None,
    ) -> tuple[Estimate, list[Estimate]]:
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or not video.size:
            raise ValueError(
                "video must be uint8 with shape [T, H, W, 3] and at least one frame, got "
                f"{video.dtype} {list(video.shape)}"
            )
        num_frames, height, width = video.shape[:3]
        points = check_queries(queries, num_frames, height, width)
        if not len(points):
            none = torch.zeros(1, 0, num_frames)
            return Estimate(torch.zeros(1, 0, num_frames, 2), none, none), []
        frames = torch.from_numpy(np.ascontiguousarray(video)).to(self.device)
        chunks = self.chunks(num_frames, height, width)
        return self.network(
            frames.float().div_(127.5).sub_(1.0)[None],
            torch.from_numpy(points).to(self.device)[None],
            query_chunk=chunks.queries,
            frame_chunk=chunks.frames,
            progress=progress,
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


def _result(estimate: Estimate) -> TrackResult:
    return TrackResult(
        estimate.tracks[0].float().cpu().numpy(),
        estimate.occlusion[0].float().cpu().numpy(),
        estimate.uncertainty[0].float().cpu().numpy(),
        estimate.visible()[0].cpu().numpy(),
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
