"""From what a user names to clips with truth: a folder, TAP-Vid's files, or synthetic clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipelines.evaluation.benchmark import TruthClip
from pipelines.evaluation.folders import read_truth, truth_files
from pipelines.evaluation.pickles import read_pickle
from pipelines.evaluation.tapvid import QueryMode
from pipelines.synthetic import SyntheticConfig, TextureBank, make_clip

SYNTHETIC = "synthetic"
FIRST_SEED = 2_000_000_000  # neither trained nor validated on
_SYNTHETIC_CLIPS = 32

Asked = dict[QueryMode, TruthClip]
"""A clip with the queries of each mode."""


@dataclass(frozen=True)
class ClipSource:
    """A named set of clips, made or read one by one."""

    name: str
    count: int | None  # None: known when all have been read
    clips: Callable[[Sequence[QueryMode]], Iterator[Asked]]


def open_source(
    spec: str,
    *,
    videos: Path | None = None,
    textures: Callable[[], TextureBank] = lambda: TextureBank.procedural(1),
    limit: int | None = None,
) -> ClipSource:
    """The clips that `spec` names: "synthetic", a .pkl file, or a folder of either kind of file.

    `videos` is the folder of the videos, by default that of the .npz files. `textures` gives what
    synthetic clips are made of. At most `limit` clips are taken. Raises ValueError for anything
    else, and for a folder without clips.
    """
    path = Path(spec)
    if spec == SYNTHETIC:
        return synthetic_source(textures(), limit or _SYNTHETIC_CLIPS)
    if not path.exists():
        raise ValueError(f"{spec}: no such file or folder")
    if path.is_file():
        if path.suffix.lower() != ".pkl":
            raise ValueError(
                f"{spec}: neither a folder of .npz files and videos, nor a TAP-Vid .pkl file, nor "
                f"the word {SYNTHETIC}"
            )
        return _pickle_source(path.stem, [path], limit)
    pickles = sorted(path.glob("*.pkl"))
    if pickles:
        return _pickle_source(path.resolve().name, pickles, limit)
    files = truth_files(path, videos)[:limit]

    def read(modes: Sequence[QueryMode]) -> Iterator[Asked]:
        return (read_truth(file, video, modes) for file, video in files)

    return ClipSource(path.resolve().name, len(files), read)


def synthetic_source(
    textures: TextureBank, count: int, config: SyntheticConfig | None = None
) -> ClipSource:
    """Clips of seeds that are never trained on; both modes ask where the generator does."""
    settings = config or SyntheticConfig()

    def make(modes: Sequence[QueryMode]) -> Iterator[Asked]:
        for index in range(count):
            made = make_clip(FIRST_SEED + index, settings, textures)
            clip = TruthClip(made.video, made.queries, made.tracks, made.occluded, name=f"{index}")
            yield dict.fromkeys(modes, clip)

    return ClipSource(SYNTHETIC, count, make)


def _pickle_source(name: str, paths: Sequence[Path], limit: int | None) -> ClipSource:
    def read(modes: Sequence[QueryMode]) -> Iterator[Asked]:
        return islice((clip for path in paths for clip in read_pickle(path, modes)), limit)

    return ClipSource(name, None, read)
