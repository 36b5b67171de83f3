"""Frames of clips as JPEG files beside the dataset, so that no epoch decodes a video again.

A clip of 24 frames of 256 x 256 takes some 0.4 MB. Its file is named after the clip's id and holds
its pictures one after the other; any of them is read without the others.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from pipelines.video import ClipSettings

_DESCRIPTION = "frames.json"
_QUALITY = 95


class FrameStoreError(ValueError):
    """The folder of frames cannot be used; says which and what to do."""


class FrameStore:
    """A folder of frames of clips that were cut with one setting."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def prepare(self, settings: ClipSettings) -> None:
        """Makes the folder, or checks that the one there is for clips cut like these.

        Raises FrameStoreError for a folder of other clips, OSError where it cannot be written.
        """
        wanted = json.loads(json.dumps(dataclasses.asdict(settings)))
        path = self.root / _DESCRIPTION
        if path.exists():
            try:
                there = json.loads(path.read_text())
            except ValueError:
                there = None
            if there != wanted:
                raise FrameStoreError(
                    f"{self.root} holds frames of clips that were cut in another way: give another "
                    "folder, or remove it"
                )
            return
        self.root.mkdir(parents=True, exist_ok=True)
        _write(path, [json.dumps(wanted).encode()])

    def has(self, clip_id: str) -> bool:
        """Whether the frames of a clip are there."""
        return self._path(clip_id).exists()

    def put(self, clip_id: str, frames: UInt8[np.ndarray, "t h w 3"]) -> None:
        """Stores a clip's frames. Raises OSError."""
        pictures = [_to_jpeg(frame) for frame in frames]
        offsets = np.cumsum([0, *map(len, pictures)], dtype="<u8")
        path = self._path(clip_id)
        path.parent.mkdir(exist_ok=True)
        _write(path, [np.uint64(len(frames)).tobytes(), offsets.tobytes(), *pictures])

    def get(self, clip_id: str, frames: Sequence[int]) -> UInt8[np.ndarray, "k h w 3"]:
        """Some frames of a clip, RGB. Raises FrameStoreError for a file that is damaged."""
        path = self._path(clip_id)
        try:
            with path.open("rb") as file:
                count = int(np.frombuffer(file.read(8), "<u8")[0])
                offsets = np.frombuffer(file.read(8 * (count + 1)), "<u8").astype(np.int64)
                start = 8 * (count + 2)
                pictures = []
                for frame in frames:
                    file.seek(start + offsets[frame])
                    pictures.append(_from_jpeg(file.read(offsets[frame + 1] - offsets[frame])))
        except (ValueError, IndexError, cv2.error, FileNotFoundError) as error:
            raise FrameStoreError(
                f"{path} is missing or damaged: remove it, and the next run reads the video again"
            ) from error
        return np.stack(pictures)

    def _path(self, clip_id: str) -> Path:
        # Folders by the first digits: a file system is slow with a million names in one.
        return self.root / clip_id[:2] / f"{clip_id}.frames"


def _to_jpeg(frame: UInt8[np.ndarray, "h w 3"]) -> bytes:
    _, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def _from_jpeg(data: bytes) -> UInt8[np.ndarray, "h w 3"]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise ValueError("no JPEG")
    return np.asarray(picture)


def _write(path: Path, parts: Sequence[bytes]) -> None:
    """All of the file or none of it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.writelines(parts)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
