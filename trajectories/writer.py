"""Writing one shard: the unit of commit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from types import TracebackType

from trajectories.encoding import EncodedClip
from trajectories.errors import DatasetError, LeaseError
from trajectories.receipts import (
    FileRecord,
    ShardReceipt,
    commit_name,
    file_name,
    read_receipt,
    receipt_to_json,
)
from trajectories.records import Failure
from trajectories.storage import Staged, Storage, connect
from trajectories.tables import (
    clips_file,
    failures_file,
    points_file,
    storable_text,
    tracks_file,
)


class ShardWriter:
    """Collects the clips of one shard and commits them together, or not at all.

    Rows are written in the order of (source, start_s, clip_id), so the bytes of a shard depend only
    on its content. Encoded clips are held in memory until `commit`. As a context manager it aborts
    when the block ends without a commit.
    """

    def __init__(self, root: str | os.PathLike[str], shard_name: str) -> None:
        """root: dataset folder, a path or any fsspec URL. Raises DatasetError for an unfit name."""
        self._commit_name = commit_name(shard_name)
        self._shard = shard_name
        self._root = root
        self._clips: dict[str, EncodedClip] = {}
        self._closed = False

    def add(self, encoded: EncodedClip) -> None:
        """Adds a clip. Raises DatasetError for a clip that is already in the shard."""
        self._require_open()
        identity = encoded.info.clip_id
        if identity in self._clips:
            raise DatasetError(f"clip {identity} of {encoded.info.source} was added twice")
        self._clips[identity] = encoded

    def commit(
        self, failures: Sequence[Failure] = (), guard: Callable[[], None] | None = None
    ) -> ShardReceipt:
        """Writes all files, then the commit file; afterwards readers see the shard.

        guard: called right before the commit file is written, and after it; raises LeaseError
        where this run may not write any more. Then the shard is there whole or not at all.

        A shard of this name that is already committed stays as it is and its receipt is returned,
        so that committing twice is harmless. Raises StorageError; nothing of the shard is left
        then. No folder is listed.
        """
        self._require_open()
        storage = connect(self._root)
        committed = read_receipt(storage, self._shard)
        if committed is not None:
            self.abort()
            return committed
        contents, receipt = self._contents(failures)
        commit = self._commit_name, receipt_to_json(receipt)
        _publish(storage, contents, commit, guard or _no_guard)
        self.abort()
        return receipt

    def abort(self) -> None:
        """Drops what was added. Nothing was written yet."""
        self._clips.clear()
        self._closed = True

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def _require_open(self) -> None:
        if self._closed:
            raise DatasetError(f"shard {self._shard} is already committed or aborted")

    def _contents(self, failures: Sequence[Failure]) -> tuple[dict[str, bytes], ShardReceipt]:
        clips = sorted(
            self._clips.values(), key=lambda c: (c.info.source, c.info.start_s, c.info.clip_id)
        )
        failed = sorted(failures, key=_failure_order)
        tracks = sum(clip.num_tracks for clip in clips)
        tables: dict[str, tuple[int, bytes]] = {}
        if clips:
            tables["clips"] = (len(clips), clips_file(clips))
            tables["tracks"] = (tracks, tracks_file(clips))
            tables["points"] = (len(clips), points_file(clips))
        if failed:
            tables["failures"] = (len(failed), failures_file(failed))
        sources = {storable_text(failure.source): 0 for failure in failed}
        for clip in clips:
            source = storable_text(clip.info.source)
            sources[source] = sources.get(source, 0) + 1
        files = {
            table: FileRecord(rows, len(data), hashlib.sha256(data).hexdigest())
            for table, (rows, data) in tables.items()
        }
        receipt = ShardReceipt(
            shard=self._shard,
            clips=len(clips),
            tracks=tracks,
            failures=len(failed),
            bytes=sum(file.bytes for file in files.values()),
            sources=dict(sorted(sources.items())),
            files=files,
        )
        return {file_name(t, self._shard): data for t, (_, data) in tables.items()}, receipt


def _no_guard() -> None:
    """Nobody else writes."""


def _publish(
    storage: Storage,
    contents: dict[str, bytes],
    commit: tuple[str, bytes],
    guard: Callable[[], None],
) -> None:
    """Stages everything, then makes it visible, the commit file last; undoes all on an error."""
    staged: list[Staged] = []
    published: list[str] = []
    try:
        for name, data in [*contents.items(), commit]:
            staged.append(storage.stage(name, data))
        for file in staged[:-1]:
            published.append(file.name)
            storage.publish(file)
        guard()
        published.append(commit[0])
        storage.publish(staged[-1])
    except LeaseError:
        # What is visible may be the other run's, under the same names: it is left to its sweep.
        for file in staged:
            storage.discard(file)
        raise
    except BaseException:
        _undo(storage, staged, published, commit[0])
        raise
    try:
        guard()
    except LeaseError:
        # The other run began between the two calls, and may have swept what was not committed yet.
        if not all(storage.has(name) for name in contents):
            storage.remove(commit[0])
        raise


def _undo(
    storage: Storage, staged: Sequence[Staged], published: Sequence[str], commit: str
) -> None:
    """Best effort: what cannot be removed now is invisible to readers and goes with `sweep`."""
    for file in staged:
        storage.discard(file)
    try:
        if commit not in published and storage.has(commit):
            return  # committed by somebody else meanwhile: the files are theirs
        # The commit file first: a shard must never be visible with files missing.
        for name in reversed(published):
            storage.remove(name)
    except DatasetError:
        return


def _failure_order(failure: Failure) -> tuple[str, ...]:
    start = -1.0 if failure.start_s is None else failure.start_s
    return (
        failure.source,
        f"{start:020.6f}",
        failure.clip_id or "",
        failure.stage,
        failure.error,
        failure.message,
        str(failure.attempts),
    )
