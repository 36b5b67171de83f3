"""Compact encoding of dense tracks: what one row of the `points` table holds.

Positions are rounded to 1/64 px and stored as whole numbers: the first frame as it is, every later
frame as the step from the frame before. Smooth motion makes small steps, which Parquet's
DELTA_BINARY_PACKED and zstd turn into about a byte each.

The numbers are int32, not int16: int16 at 1/64 px ends at 512 px, and a track that leaves the frame
or jumps would overflow silently. It costs nothing on disk, since Parquet has no 16-bit physical
type and packs both to the bits they need.

Element ``i = t * N + n`` of every array belongs to track n at frame t (time-major).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trajectories.records import ClipInfo, ClipTracks
from trajectories.statistics import clip_statistics, track_statistics

if TYPE_CHECKING:
    from jaxtyping import Float, Int32

POSITION_SCALE = 64  # stored units per pixel
UNCERTAINTY_LEVELS = 15  # 4 bits: 0 … 15 stand for 0 … 1
MAX_POSITION = float(2**23)  # px; keeps every step far inside int32


@dataclass(frozen=True, eq=False)
class EncodedClip:
    """A clip ready to be written: compact arrays and statistics, cheap to pickle.

    queries: float32 [3 * N], rows t, y, x one after the other.
    x_steps, y_steps: int32 [T * N], time-major, 1/64 px, first frame absolute, then differences.
    visible: bit mask of T * N bits, most significant bit first.
    uncertainty: T * N values of 4 bits, the first of each pair in the high half of the byte.
    track_stats: column name → [N]; clip_stats: column name → value (see `statistics`).
    """

    info: ClipInfo
    num_tracks: int
    queries: Float[np.ndarray, " 3n"]
    x_steps: Int32[np.ndarray, " tn"]
    y_steps: Int32[np.ndarray, " tn"]
    visible: bytes
    uncertainty: bytes
    track_stats: dict[str, np.ndarray]
    clip_stats: dict[str, float]

    @property
    def nbytes(self) -> int:
        """Bytes held in memory by the arrays."""
        arrays = [self.queries, self.x_steps, self.y_steps, *self.track_stats.values()]
        return sum(a.nbytes for a in arrays) + len(self.visible) + len(self.uncertainty)


def encode_clip(clip: ClipTracks) -> EncodedClip:
    """Encodes tracks compactly and computes their statistics.

    Positions keep 1/64 px (error at most 1/128 px), visibility is exact, uncertainty keeps 4 bits
    (error at most 1/30). Statistics of motion are those of the rounded positions, so that they
    agree with what is read back; mean uncertainty is that of the values given.

    Raises ValueError naming the clip for positions, queries or uncertainties that are not finite,
    positions beyond 2**23 px, or uncertainties outside [0, 1].
    """
    info = clip.info
    _require_finite(info, "track positions", clip.tracks)
    _require_finite(info, "query points", clip.queries)
    _require_finite(info, "uncertainties", clip.uncertainty)
    if clip.tracks.size and np.abs(clip.tracks).max() > MAX_POSITION:
        raise ValueError(f"clip {info.clip_id}: a track lies more than {MAX_POSITION:.0f} px away")
    if clip.uncertainty.size and not 0 <= clip.uncertainty.min() <= clip.uncertainty.max() <= 1:
        raise ValueError(
            f"clip {info.clip_id}: uncertainties must lie in [0, 1]: give probabilities, not logits"
        )
    units = np.rint(clip.tracks.astype(np.float64) * POSITION_SCALE).astype(np.int32)
    rounded = (units / POSITION_SCALE).astype(np.float32)
    scalars = track_statistics(clip.queries, rounded, clip.visible, clip.uncertainty)
    queries = np.ascontiguousarray(clip.queries.T, dtype=np.float32)
    return EncodedClip(
        info=info,
        num_tracks=len(clip),
        queries=queries.reshape(-1),
        x_steps=_steps(units[..., 0]),
        y_steps=_steps(units[..., 1]),
        visible=np.packbits(clip.visible.T.reshape(-1)).tobytes(),
        uncertainty=_pack_nibbles(clip.uncertainty.T.reshape(-1)),
        track_stats=scalars,
        clip_stats=clip_statistics(rounded, clip.visible, scalars),
    )


def decode_arrays(
    info: ClipInfo,
    num_tracks: int,
    queries: Float[np.ndarray, " 3n"],
    x_steps: Int32[np.ndarray, " tn"],
    y_steps: Int32[np.ndarray, " tn"],
    visible: bytes,
    uncertainty: bytes,
) -> ClipTracks:
    """Tracks from the columns of one `points` row; the inverse of `encode_clip`."""
    shape = (info.num_frames, num_tracks)
    count = info.num_frames * num_tracks
    tracks = np.empty((num_tracks, info.num_frames, 2), dtype=np.float32)
    for axis, steps in enumerate((x_steps, y_steps)):
        units = np.cumsum(steps.reshape(shape), axis=0, dtype=np.int32)
        tracks[..., axis] = (units / POSITION_SCALE).T
    bits = np.unpackbits(np.frombuffer(visible, np.uint8), count=count)
    return ClipTracks(
        info=info,
        queries=np.ascontiguousarray(queries.reshape(3, num_tracks).T),
        tracks=tracks,
        visible=np.ascontiguousarray(bits.reshape(shape).T.astype(bool)),
        uncertainty=np.ascontiguousarray(_unpack_nibbles(uncertainty, count).reshape(shape).T),
    )


def decode_clip(encoded: EncodedClip) -> ClipTracks:
    """Tracks as a reader of the dataset will see them."""
    return decode_arrays(
        encoded.info,
        encoded.num_tracks,
        encoded.queries,
        encoded.x_steps,
        encoded.y_steps,
        encoded.visible,
        encoded.uncertainty,
    )


def _require_finite(info: ClipInfo, what: str, values: np.ndarray) -> None:
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise ValueError(
            f"clip {info.clip_id} of {info.source}: {bad} of {values.size} {what} are not finite"
        )


def _steps(units: Int32[np.ndarray, "n t"]) -> Int32[np.ndarray, " tn"]:
    return np.diff(units.T, axis=0, prepend=np.int32(0)).reshape(-1)


def _pack_nibbles(values: Float[np.ndarray, " k"]) -> bytes:
    levels = np.rint(values.astype(np.float64) * UNCERTAINTY_LEVELS).astype(np.uint8)
    if len(levels) % 2:
        levels = np.append(levels, np.uint8(0))
    return (levels[0::2] << 4 | levels[1::2]).tobytes()


def _unpack_nibbles(packed: bytes, count: int) -> Float[np.ndarray, " k"]:
    pairs = np.frombuffer(packed, np.uint8)
    levels = np.stack([pairs >> 4, pairs & 15], axis=1).reshape(-1)[:count]
    return levels.astype(np.float32) / np.float32(UNCERTAINTY_LEVELS)
