"""Real clips to learn from without truth: videos in one file, chosen and split by source."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")
_SPLIT = "__"  # between the name of a source and that of the segment


@dataclass(frozen=True)
class RealClips:
    """Encoded videos in memory, decoded when asked for."""

    names: Sequence[str]
    data: Sequence[UInt8[np.ndarray, " bytes"]]

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("real clips: none are left; give more videos")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sources(self) -> list[str]:
        """Of each clip, the name of the video that it was cut from."""
        return [source_of(name) for name in self.names]

    @classmethod
    def from_folder(cls, folder: str | Path) -> RealClips:
        """All videos of a folder, in the order of their names. Raises ValueError without any."""
        paths = sorted(p for p in Path(folder).glob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise ValueError(f"{folder}: no videos (looked for {', '.join(SUFFIXES)})")
        return cls(
            [path.name for path in paths],
            [np.frombuffer(path.read_bytes(), np.uint8) for path in paths],
        )

    def save(self, path: str | Path) -> None:
        """One .npz file."""
        with open(path, "wb") as file:  # np.savez would add a suffix to other names
            np.savez(
                file,
                video_names=np.array(self.names, str),
                video_sizes=np.array([len(data) for data in self.data], np.int64),
                video_bytes=np.concatenate(list(self.data)),
            )

    @classmethod
    def load(cls, path: str | Path) -> RealClips:
        """Read a file written by `save`. Raises ValueError naming any other."""
        try:
            with np.load(path, allow_pickle=False) as file:
                ends = np.cumsum(file["video_sizes"])[:-1]
                return cls(file["video_names"].tolist(), np.split(file["video_bytes"], ends))
        except (KeyError, ValueError, EOFError, zlib.error) as error:
            raise ValueError(
                f"{path} holds no packed videos: make it with `python -m pipelines.training.pack "
                "--videos FOLDER`"
            ) from error

    def split(self, fraction: float = 0.1) -> tuple[RealClips, RealClips]:
        """(training, held-out) clips; all of one source are on one side, which its name tells.

        At least one source is held out. Raises ValueError where that leaves none to train on.
        """
        ranks = [zlib.crc32(source.encode()) / 2**32 for source in self.sources]
        limit = max(fraction, min(ranks))
        held_out = [rank <= limit for rank in ranks]
        if all(held_out):
            raise ValueError(
                f"real clips of {len(set(self.sources))} sources leave none to train on beside "
                "those held out; give more videos"
            )
        return self._chosen(np.flatnonzero(~np.array(held_out))), self._chosen(
            np.flatnonzero(held_out)
        )

    def _chosen(self, rows: Sequence[int] | np.ndarray) -> RealClips:
        return RealClips([self.names[row] for row in rows], [self.data[row] for row in rows])

    def fitting(self, limit_bytes: int, excluded: Sequence[str] = ()) -> RealClips:
        """Clips that fit into `limit_bytes`, of as many sources as possible, but not of some.

        Every source's first clip comes before any second one.
        """
        order: list[tuple[int, int]] = []
        seen: dict[str, int] = {}
        for row, source in enumerate(self.sources):
            if source not in excluded:
                order.append((seen.get(source, 0), row))
                seen[source] = seen.get(source, 0) + 1
        kept, total = [], 0
        for _, row in sorted(order):
            if total + len(self.data[row]) <= limit_bytes:
                kept.append(row)
                total += len(self.data[row])
        return self._chosen(sorted(kept))

    def frames(self, index: int) -> list[UInt8[np.ndarray, "h w 3"]]:
        """All frames of one clip, RGB. Raises ValueError naming a clip that cannot be read."""
        name = self.names[index]
        with tempfile.NamedTemporaryFile(suffix=Path(name).suffix) as file:
            file.write(self.data[index].tobytes())
            file.flush()
            video = cv2.VideoCapture(file.name)
            frames = []
            try:
                while True:
                    more, frame = video.read()
                    if not more:
                        break
                    frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            finally:
                video.release()
        if not frames:
            raise ValueError(f"real clip {name} cannot be decoded; pack the videos without it")
        return frames


def source_of(name: str) -> str:
    """What comes before `__` in the name of a clip: its source."""
    return Path(name).stem.partition(_SPLIT)[0]
