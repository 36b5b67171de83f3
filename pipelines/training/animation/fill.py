"""Filling a frame store: every source video is decoded once."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

from pipelines.training.animation.frames import FrameStore
from pipelines.training.animation.index import ClipIndex
from trajectories import ClipInfo, Dataset

if TYPE_CHECKING:
    from pipelines.video import ClipSettings

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Missing:
    """Clips without frames: their videos have gone, or are others than they were."""

    clips: dict[str, str]
    """Clip id → why."""

    def warning(self) -> str:
        """One line for people; nothing is missing: empty."""
        if not self.clips:
            return ""
        reason = next(iter(self.clips.values()))
        return f"{len(self.clips)} clips left out, their videos cannot be read: {reason}"


def fill_frames(
    dataset: Dataset,
    store: FrameStore,
    indices: list[ClipIndex],
    *,
    processes: int = 0,
    progress: Progress | None = None,
) -> Missing:
    """Brings the frames of these clips into the store, those that are not there yet.

    processes: that decode beside this one; 0 decodes here. Raises FrameStoreError for a folder of
    other clips, DatasetError where the dataset does not say how its clips were cut, OSError when
    the disk refuses.
    """
    # Training itself needs nothing that decodes videos.
    from pipelines.pictures import clip_settings

    settings = clip_settings(dataset)
    store.prepare(settings)
    wanted = {identity.decode() for index in indices for identity in index.ids.tolist()}
    absent = {identity for identity in wanted if not store.has(identity)}
    sources: dict[str, list[ClipInfo]] = defaultdict(list)
    for shard in dataset.shards if absent else ():
        for info in dataset.shard_infos(shard):
            if info.clip_id in absent:
                sources[info.source].append(info)
    missing: dict[str, str] = {}
    work = functools.partial(_fill_source, store, settings)
    done = 0
    # Spawned, not forked: this process may hold threads of DuckDB, Arrow or CUDA.
    with ProcessPoolExecutor(max(1, processes), mp_context=get_context("spawn")) as pool:
        results = pool.map(work, sources.values()) if processes else map(work, sources.values())
        for problems, infos in zip(results, sources.values(), strict=True):
            missing |= problems
            done += len(infos)
            if progress is not None:
                progress(done, len(absent))
    return Missing(missing)


def _fill_source(
    store: FrameStore, settings: ClipSettings, infos: list[ClipInfo]
) -> dict[str, str]:
    """Stores the clips of one source; returns those that it does not give any more, and why."""
    from pipelines.pictures import find_clips
    from pipelines.video import VideoError, read_clip

    try:
        specs = find_clips(infos, settings)
    except VideoError as error:
        return {info.clip_id: str(error) for info in infos}
    gone = f"{infos[0].source}: not the file that was extracted"
    problems = {info.clip_id: gone for info in infos}
    for spec in specs:
        try:
            store.put(spec.info.clip_id, read_clip(spec))
            del problems[spec.info.clip_id]
        except VideoError as error:
            problems[spec.info.clip_id] = str(error)
    return problems
