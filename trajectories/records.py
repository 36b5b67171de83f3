"""The records a dataset is made of: a clip's description, its tracks, a failure."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_CLIP_ID_DOMAIN = b"tapirus-clip-1\0"


@dataclass(frozen=True)
class ClipInfo:
    """Where a clip comes from and how its pixels map back to the source.

    A point ``x`` of the clip lies at ``crop_x + x * crop_width / width`` in the upright source, and
    likewise for ``y``. The crop rectangle reaches beyond the source where the clip has borders.
    """

    clip_id: str  # 32 hexadecimal digits, see `clip_id`
    source: str  # URI or absolute path of the video
    start_s: float  # seconds from the first frame of the source
    end_s: float  # time of the last frame + 1 / fps
    fps: float  # frame rate of the clip
    num_frames: int
    width: int  # clip size, pixels
    height: int
    source_width: int  # size of the source after `rotation`, pixels
    source_height: int
    rotation: int  # degrees clockwise applied to make the frames upright: 0, 90, 180 or 270
    crop_x: float  # rectangle of the upright source that the clip shows, source pixels
    crop_y: float
    crop_width: float
    crop_height: float


@dataclass(frozen=True, eq=False)
class ClipTracks:
    """A clip's trajectories: N query points followed over T frames.

    queries: float32 [N, 3], (t, y, x): frame index and raster pixels of the clip.
    tracks: float32 [N, T, 2], (x, y) in raster pixels of the clip, finite.
    visible: bool [N, T].
    uncertainty: float32 [N, T] in [0, 1], probability that the position is off.

    Raises ValueError naming the clip when shapes, types or the frame count do not agree.
    """

    info: ClipInfo
    queries: Float[np.ndarray, "n 3"]
    tracks: Float[np.ndarray, "n t 2"]
    visible: Bool[np.ndarray, "n t"]
    uncertainty: Float[np.ndarray, "n t"]

    def __post_init__(self) -> None:
        frames = self.info.num_frames
        if frames < 1:
            raise ValueError(f"clip {self.info.clip_id}: num_frames is {frames}, at least 1 needed")
        count = len(self.queries)
        wanted = {
            "queries": (count, 3),
            "tracks": (count, frames, 2),
            "visible": (count, frames),
            "uncertainty": (count, frames),
        }
        for name, shape in wanted.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ValueError(
                    f"clip {self.info.clip_id}: {name} has shape {list(array.shape)}, "
                    f"expected {list(shape)}"
                )
            kind = "b" if name == "visible" else "f"
            if array.dtype.kind != kind:
                raise ValueError(
                    f"clip {self.info.clip_id}: {name} has type {array.dtype}, "
                    f"expected {'bool' if kind == 'b' else 'float32'}"
                )

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self.queries)


@dataclass(frozen=True)
class Failure:
    """A video or a clip that could not be processed."""

    source: str
    clip_id: str | None  # None: the whole video failed
    start_s: float | None
    end_s: float | None
    stage: str  # "open", "plan", "decode" or "track"
    error: str  # class name, such as "VideoError"
    message: str
    attempts: int


def clip_id(source: str, start_us: int, end_us: int) -> str:
    """Stable identity of a span of a video: 32 hexadecimal digits.

    source: URI or absolute path of the video. start_us, end_us: span in whole microseconds of the
    source's own time. The digest covers a version tag and length-prefixed fields, so no two
    different spans share an encoding, and it never changes between machines or releases.
    """
    # Undecodable file names arrive as lone surrogates; they still need an identity.
    text = source.encode("utf-8", "surrogatepass")
    encoded = _CLIP_ID_DOMAIN + struct.pack(">Q", len(text)) + text
    encoded += struct.pack(">qq", start_us, end_us)
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()
