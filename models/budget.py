"""How many queries and frames to process at once: a pure decision from sizes and memory."""

from __future__ import annotations

from dataclasses import dataclass

from models.tapir.config import TapirConfig
from models.tapir.resolutions import default_resolutions

_CPU_ROWS = 1536  # (query, frame) pairs per chunk whose mixer activations stay in cache
_CPU_BYTES = 256 << 20  # cap on one chunk's score maps and activations
_CPU_FRAME_CELLS = 2 * 256 * 256  # pixels of the frames that go through the backbone together
_GPU_SHARE = 0.25  # of the free device memory, for one chunk


@dataclass(frozen=True)
class Chunks:
    """Results do not depend on these; time and memory do."""

    queries: int
    frames: int


def bytes_per_query(
    config: TapirConfig, num_frames: int, size: tuple[int, int], itemsize: int
) -> int:
    """Working memory of one query: the largest score map, the patches, the mixer's activations."""
    height, width = max(
        (config.initial_resolution, *default_resolutions(size, config.initial_resolution)),
        key=lambda resolution: resolution[0] * resolution[1],
    )
    score_map = (height // 4) * (width // 4) * itemsize
    heat_map = (height // 8) * (width // 8) * 4 * 3
    patches = config.num_score_maps * 64 * 16
    mixer = config.mixer_channels * (2 * config.mixer_expansion + 4) * itemsize
    return num_frames * (score_map + heat_map + patches + mixer)


def choose_chunks(
    config: TapirConfig,
    num_frames: int,
    size: tuple[int, int],
    *,
    itemsize: int,
    free_device_bytes: int | None = None,
) -> Chunks:
    """Chunk sizes for a video of ``num_frames`` frames of ``size`` (height, width).

    On a CPU (``free_device_bytes`` is None) a chunk is small enough for the caches; on a GPU it
    is as large as a share of the free memory allows.
    """
    per_query = bytes_per_query(config, num_frames, size, itemsize)
    pixels = size[0] * size[1]
    if free_device_bytes is None:
        queries = min(_CPU_ROWS // max(1, num_frames), _CPU_BYTES // per_query)
        frames = _CPU_FRAME_CELLS // pixels
    else:
        budget = int(free_device_bytes * _GPU_SHARE)
        queries = budget // per_query
        # About 60 channels-last maps of a quarter of the pixels each live at once.
        frames = budget // (pixels * 16 * itemsize * config.group_channels[0])
    return Chunks(queries=max(1, queries), frames=max(1, frames))
