"""From encoded clips and failures to Parquet files, and back to records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trajectories.encoding import EncodedClip, decode_arrays
from trajectories.records import ClipInfo, ClipTracks, Failure
from trajectories.schema import CLIPS, CLIPS_PER_ROW_GROUP, FAILURES, POINTS, TRACKS, write_options

_INFO_FIELDS = [f.name for f in fields(ClipInfo)]


def clips_file(clips: Sequence[EncodedClip]) -> bytes:
    """The `clips` file of a shard."""
    rows = [asdict(clip.info) | clip.clip_stats for clip in clips]
    for row in rows:
        row["source"] = storable_text(row["source"])
    return _file("clips", [pa.Table.from_pylist(rows, schema=CLIPS)])


def tracks_file(clips: Sequence[EncodedClip]) -> bytes:
    """The `tracks` file of a shard: one row group per clip, so that readers skip the others."""
    return _file("tracks", [_tracks_table(clip) for clip in clips])


def points_file(clips: Sequence[EncodedClip]) -> bytes:
    """The `points` file of a shard, in row groups of `CLIPS_PER_ROW_GROUP`."""
    starts = range(0, len(clips), CLIPS_PER_ROW_GROUP)
    return _file("points", [_points_table(clips[i : i + CLIPS_PER_ROW_GROUP]) for i in starts])


def failures_file(failures: Sequence[Failure]) -> bytes:
    """The `failures` file of a shard."""
    rows = [asdict(failure) for failure in failures]
    for row in rows:
        for name in ("source", "stage", "error", "message"):
            row[name] = storable_text(row[name])
    return _file("failures", [pa.Table.from_pylist(rows, schema=FAILURES)])


def storable_text(text: str) -> str:
    """Text without lone surrogates (undecodable file names), which Parquet cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def clip_infos(clips: pa.Table) -> list[ClipInfo]:
    """ClipInfo of each row of a `clips` table."""
    return [ClipInfo(**row) for row in clips.select(_INFO_FIELDS).to_pylist()]


def decode_row(info: ClipInfo, points: pa.Table, row: int) -> ClipTracks:
    """Tracks of one row of a `points` table."""

    def values(name: str) -> np.ndarray:
        return points[name][row].values.to_numpy(zero_copy_only=False)

    return decode_arrays(
        info,
        points["num_tracks"][row].as_py(),
        values("queries"),
        values("x_steps"),
        values("y_steps"),
        points["visible"][row].as_py(),
        points["uncertainty"][row].as_py(),
    )


@dataclass(frozen=True, eq=False)
class RowGroup:
    """Neighbouring clips of a shard as they were read; each is decoded when it is asked for."""

    infos: Sequence[ClipInfo]
    points: pa.Table

    def __len__(self) -> int:
        return len(self.infos)

    def __getitem__(self, row: int) -> ClipTracks:
        return decode_row(self.infos[row], self.points, row)


def _tracks_table(clip: EncodedClip) -> pa.Table:
    ids = pa.array([clip.info.clip_id] * clip.num_tracks, pa.string())
    columns: dict[str, Any] = {"clip_id": ids, **clip.track_stats}
    return pa.table([pa.array(columns[f.name], f.type) for f in TRACKS], schema=TRACKS)


def _points_table(clips: Sequence[EncodedClip]) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "clip_id": pa.array([c.info.clip_id for c in clips]),
        "num_tracks": pa.array([c.num_tracks for c in clips], pa.int32()),
        "num_frames": pa.array([c.info.num_frames for c in clips], pa.int32()),
        "visible": pa.array([c.visible for c in clips], pa.binary()),
        "uncertainty": pa.array([c.uncertainty for c in clips], pa.binary()),
    }
    for name in ("queries", "x_steps", "y_steps"):
        columns[name] = _lists([getattr(c, name) for c in clips], POINTS.field(name).type)
    return pa.table([columns[f.name] for f in POINTS], schema=POINTS)


def _lists(arrays: Sequence[np.ndarray], kind: pa.DataType) -> pa.Array:
    offsets = np.cumsum([0, *(len(a) for a in arrays)], dtype=np.int32)
    values = pa.array(np.concatenate(arrays), kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=kind)


def _file(table: str, groups: Sequence[pa.Table]) -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, groups[0].schema, **write_options(table)) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=max(len(group), 1))
    return sink.getvalue().to_pybytes()


def parquet_file(data: bytes) -> pq.ParquetFile:
    """A Parquet file in memory, for reading.

    Never with `pre_buffer`, pyarrow's default: its background threads may still hold Python's
    bytes when the interpreter ends, and then abort the process.
    """
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
