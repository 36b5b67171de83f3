"""The TAP-Vid benchmark's own files, as published: pickles that are read, never executed.

DAVIS is a dict of clips by name; RGB-Stacking a list of clips; Kinetics and RoboTAP folders of
such files, with JPEG frames. Each clip is a dict of `points` [N, T, 2], (x, y) as shares of width
and height; `occluded` [N, T]; and `video`, uint8 [T, H, W, 3] or T encoded frames.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from models.checkpoints import CheckpointError, restricted_pickle
from pipelines.evaluation.benchmark import SCORED_SIZE, TruthClip
from pipelines.evaluation.clips import ask, squeeze
from pipelines.evaluation.tapvid import QueryMode

if TYPE_CHECKING:
    from jaxtyping import UInt8

_RESAMPLE = Image.Resampling.LANCZOS  # as the published evaluation shrinks its videos
_FORMATS = ("JPEG", "PNG")


def read_pickle(path: Path, modes: Sequence[QueryMode]) -> Iterator[dict[QueryMode, TruthClip]]:
    """The clips of one file, squeezed to 256x256, with the queries of each mode.

    The file is held in memory while it is read. Raises ValueError, naming the file, where it holds
    anything else than arrays, or is laid out in another way.
    """
    try:
        with path.open("rb") as file:
            data = restricted_pickle.load(file, path.stat().st_size)
    except CheckpointError as error:
        raise ValueError(f"{path}: {error}") from None
    except OSError:
        raise
    except Exception as error:  # pickle raises nearly anything where the bytes are not one
        raise ValueError(
            f"{path}: truncated, damaged or no pickle ({type(error).__name__}); fetch it again"
        ) from error
    for name, example in _named(path, data):
        try:
            points, occluded, video = _arrays(example)
        except (CheckpointError, ValueError, OSError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path}: clip {name}: {error}") from error
        tracks = points * SCORED_SIZE
        yield {mode: ask(video, tracks, occluded, mode, name=name) for mode in modes}


def _named(path: Path, data: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict):
        yield from ((str(name), example) for name, example in data.items())
    elif isinstance(data, list):
        yield from ((f"{path.stem}/{index}", example) for index, example in enumerate(data))
    else:
        raise ValueError(f"{path}: holds neither a dict nor a list of clips, as TAP-Vid's files do")


def _arrays(example: Any) -> tuple[np.ndarray, np.ndarray, UInt8[np.ndarray, "t 256 256 3"]]:
    if not isinstance(example, dict):
        raise ValueError("is not a dict of points, occluded and video")
    for key in ("points", "occluded", "video"):
        if key not in example:
            raise ValueError(f"lacks the entry '{key}'")
    points = _numeric(example, "points").astype(np.float64)
    occluded = _numeric(example, "occluded").astype(bool)
    video = squeeze(_frames(example["video"]), _RESAMPLE)
    if points.shape != (*occluded.shape, 2) or occluded.ndim != 2:
        raise ValueError(
            f"points {list(points.shape)} and occluded {list(occluded.shape)} are not of "
            "shapes [N, T, 2] and [N, T]"
        )
    if occluded.shape[1] != len(video):
        raise ValueError(f"has {len(video)} frames, but points on {occluded.shape[1]}")
    return points, occluded, video


def _numeric(example: dict[str, Any], key: str) -> np.ndarray:
    array = example[key]
    if not isinstance(array, restricted_pickle.Array):
        raise ValueError(f"its entry '{key}' is not an array")
    return array.numeric()


def _frames(video: Any) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames one by one: a clip at its full size would take a gigabyte."""
    if isinstance(video, restricted_pickle.Array) and len(video.shape) == 4:
        frames = video.numeric()
        if frames.dtype != np.uint8 or frames.shape[3] != 3:
            raise ValueError(
                f"its video is {frames.dtype} {list(frames.shape)}, not uint8 [T, H, W, 3]"
            )
        return iter(frames)
    encoded = video.strings() if isinstance(video, restricted_pickle.Array) else video
    if not isinstance(encoded, (list, tuple)) or not all(type(e) is bytes for e in encoded):
        raise ValueError("its video is neither an array nor a list of encoded frames")
    return map(_decoded, encoded)


def _decoded(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
        return np.asarray(picture.convert("RGB"))
