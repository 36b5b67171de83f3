"""The trajectories of an animation in one Parquet file, to be kept, edited and given back.

One row for each point of the grid, lists over time, and on every row the facts that all share:
pandas and DuckDB keep columns when they write a file again, but not a file's metadata.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from animate.motion import Motion, TracksFileError, motion_for_photo, motion_from_clip
from trajectories import DatasetError, open_dataset
from trajectories.storage import LocalStorage, connect

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "VERSION",
    "Motion",
    "TracksFileError",
    "motion_for_photo",
    "motion_from_clip",
    "read_motion",
    "write_motion",
]

VERSION = 1

_VERSION_KEY = b"tapirus.animation.version"
_ABOUT_KEY = b"tapirus.animation.about"
_ABOUT = (
    b"Trajectories of one photo. Positions are raster pixels (x, y) of the upright photo: (0, 0) "
    b"is the upper left corner of the upper left pixel. The first frame is the photo: point "
    b"(row, col) starts at the centre of its cell of the frame, which is cut into equal rows and "
    b"columns. The size of the photo, the frame and fps are the same on all rows."
)


def _field(name: str, kind: pa.DataType, unit: str, description: str) -> pa.Field:
    return pa.field(name, kind, False, {"unit": unit, "description": description})


_VALUES = pa.list_(pa.field("element", pa.float32(), nullable=False))
_SCHEMA = pa.schema(
    [
        _field("row", pa.int32(), "", "row of the point in the grid, from 0 at the top"),
        _field("col", pa.int32(), "", "column of the point in the grid, from 0 at the left"),
        _field("x", _VALUES, "px", "position in each frame"),
        _field("y", _VALUES, "px", "position in each frame"),
        _field("visible", _VALUES, "0..1", "probability that the point is seen in each frame"),
        _field("photo_width", pa.int32(), "px", "width of the upright photo"),
        _field("photo_height", pa.int32(), "px", "height of the upright photo"),
        _field("frame_x", pa.float64(), "px", "left edge of what the grid covers"),
        _field("frame_y", pa.float64(), "px", "upper edge of what the grid covers"),
        _field("frame_width", pa.float64(), "px", "width of what the grid covers"),
        _field("frame_height", pa.float64(), "px", "height of what the grid covers"),
        _field("fps", pa.float64(), "frames/s", "frame rate"),
    ],
    metadata={_VERSION_KEY: str(VERSION).encode(), _ABOUT_KEY: _ABOUT},
)
_LISTS = ("x", "y", "visible")
_FACTS = tuple(_SCHEMA.names[5:])


class _UnfitError(Exception):
    """What is wrong with the content of a file."""


def write_motion(path: str | os.PathLike[str], motion: Motion) -> None:
    """Write a motion as Parquet; all of the file appears or nothing.

    Raises TracksFileError where the folder is missing or the disk refuses.
    """
    folder, name = os.path.split(os.fspath(path))
    storage = connect(folder or ".")
    if isinstance(storage, LocalStorage) and not os.path.isdir(storage.root):
        raise TracksFileError(f"{path}: there is no folder {folder} to write to: make it first")
    sink = pa.BufferOutputStream()
    pq.write_table(
        _table(motion),
        sink,
        compression="zstd",
        use_dictionary=list(_FACTS),
        column_encoding={f"{column}.list.element": "BYTE_STREAM_SPLIT" for column in _LISTS},
    )
    try:
        storage.write(name, sink.getvalue().to_pybytes())
    except DatasetError as error:
        raise TracksFileError(str(error)) from error


def read_motion(path: str | os.PathLike[str]) -> Motion:
    """The motion in a file of `write_motion`, also one that pandas or DuckDB wrote again.

    DATASET#CLIP is a clip of a dataset that `tapirus extract` wrote, by its id or a unique prefix
    (`motion_from_clip`). What is read has float32 `visible`.

    Raises TracksFileError, and DatasetError for a dataset that cannot be read.
    """
    name = os.fspath(path)
    dataset, hash_sign, clip = name.rpartition("#")
    if hash_sign and not os.path.lexists(name):
        return motion_from_clip(open_dataset(dataset).clip(clip))
    if os.path.isdir(name):
        raise TracksFileError(
            f"{name}: is a folder: give a file of trajectories, or one clip of a dataset as "
            f"{name}#CLIP_ID"
        )
    folder, base = os.path.split(name)
    try:
        return _motion(_read_table(connect(folder or ".").read(base)))
    except (FileNotFoundError, NotADirectoryError):
        raise TracksFileError(f"{name}: there is no such file: check the name") from None
    except DatasetError as error:  # of the disk
        raise TracksFileError(str(error)) from error
    except (_UnfitError, ValueError) as error:
        raise TracksFileError(f"{name}: {error}") from error


def _table(motion: Motion) -> pa.Table:
    num_frames, _, rows, cols = motion.tracks.shape
    count = rows * cols
    row, col = np.divmod(np.arange(count, dtype=np.int32), cols)
    frame = motion.frame
    facts = (*motion.photo_size, frame.x, frame.y, frame.width, frame.height, motion.fps)
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * num_frames)

    def lists(values: Float[np.ndarray, "t h w"]) -> pa.Array:
        flat = np.ascontiguousarray(values.reshape(num_frames, -1).T, np.float32).reshape(-1)
        return pa.ListArray.from_arrays(offsets, pa.array(flat), type=_VALUES)

    columns = [row, col, *map(lists, (motion.tracks[:, 0], motion.tracks[:, 1], motion.visible))]
    columns += [np.full(count, fact) for fact in facts]
    arrays = [pa.array(v, f.type) for v, f in zip(columns, _SCHEMA, strict=True)]
    return pa.table(arrays, schema=_SCHEMA)


def _read_table(data: bytes) -> pa.Table:
    """The columns of a motion."""
    try:
        # Never with `pre_buffer`: its threads may outlive the interpreter.
        with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
            version = (file.schema_arrow.metadata or {}).get(_VERSION_KEY, b"1")
            if version != str(VERSION).encode():
                raise _UnfitError(
                    f"has version {version.decode(errors='replace')} of the format, this tapirus "
                    f"reads {VERSION}: upgrade tapirus"
                )
            missing = [name for name in _SCHEMA.names if name not in file.schema_arrow.names]
            if missing:
                raise _UnfitError(
                    f"is no file of trajectories: it has no column {', '.join(missing)}; give one "
                    "that --save-trajectories wrote"
                )
            return file.read(columns=_SCHEMA.names, use_threads=False)
    except pa.ArrowInvalid as error:
        if not data.startswith(b"PAR1"):
            raise _UnfitError(
                "is no Parquet file: give one that --save-trajectories wrote"
            ) from error
        raise _damaged(error) from error
    except (pa.ArrowException, OSError) as error:
        raise _damaged(error) from error


def _damaged(error: BaseException) -> _UnfitError:
    reason = " ".join(str(error).split())
    return _UnfitError(f"is truncated or damaged ({reason}): save it again")


def _motion(table: pa.Table) -> Motion:
    from models.animation import Box

    if not table.num_rows:
        raise _UnfitError("holds no points: save it again")
    rows, cols, order = _grid(_numbers(table, "row"), _numbers(table, "col"))
    facts = {name: _fact(table, name) for name in _FACTS}
    x, y, visible = (_by_point(table, name) for name in _LISTS)
    if not len(x[0]) == len(y[0]) == len(visible[0]):
        raise _UnfitError(
            f"has {len(x[0])} values of x at each point, {len(y[0])} of y and {len(visible[0])} of "
            "visible: give one for each frame"
        )

    def by_time(values: Float[np.ndarray, "n t"]) -> Float[np.ndarray, "t h w"]:
        return np.ascontiguousarray(values[order].T).reshape(-1, rows, cols)

    return Motion(
        tracks=np.stack((by_time(x), by_time(y)), axis=1),
        visible=by_time(visible),
        frame=Box(*(facts[f"frame_{name}"] for name in ("x", "y", "width", "height"))),
        photo_size=(round(facts["photo_width"]), round(facts["photo_height"])),
        fps=facts["fps"],
    )


def _grid(row: np.ndarray, col: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Rows, columns, and the order that brings the points from row to row."""
    if row.min() < 0 or col.min() < 0 or (row % 1).any() or (col % 1).any():
        raise _UnfitError("has rows or columns that are not 0, 1, 2 …: number the points from 0")
    rows, cols = int(row.max()) + 1, int(col.max()) + 1
    distinct = len(np.unique(np.stack((row, col)), axis=1)[0])
    if distinct < len(row):
        raise _UnfitError(
            f"has {len(row) - distinct} points of the grid twice: keep one row of each (row, col)"
        )
    if distinct < rows * cols:
        raise _UnfitError(
            f"lacks {rows * cols - distinct} of the {rows * cols} points of its grid of {rows} "
            f"rows and {cols} columns: give all, and mark hidden points by visible = 0"
        )
    return rows, cols, np.lexsort((col, row))


def _numbers(table: pa.Table, name: str) -> Float[np.ndarray, " n"]:
    values = _cast(table[name].combine_chunks(), name)
    if not np.isfinite(values).all():
        raise _UnfitError(f"column {name} has rows without a number: fill them in")
    return values


def _fact(table: pa.Table, name: str) -> float:
    values = _numbers(table, name)
    if (values != values[0]).any():
        raise _UnfitError(f"column {name} differs between rows: it is one value for the whole file")
    return float(values[0])


def _by_point(table: pa.Table, name: str) -> Float[np.ndarray, "n t"]:
    """The lists of a column, which must be of one length. What is null becomes NaN."""
    column = table[name].combine_chunks()
    if not _is_list(column.type):
        raise _UnfitError(
            f"column {name} is {column.type}: must hold lists, a value for each frame"
        )
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if lengths.min() != lengths.max():
        raise _UnfitError(
            f"column {name} has lists of {lengths.min()} to {lengths.max()} frames: all points "
            "need the same number"
        )
    if not lengths[0]:
        raise _UnfitError(f"column {name} has empty lists: a motion needs two frames or more")
    values = _cast(pc.list_flatten(column), name)
    with np.errstate(over="ignore"):  # becomes infinite, which is reported
        return values.astype(np.float32).reshape(len(column), -1)


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _cast(values: Any, name: str) -> Float[np.ndarray, " n"]:
    """As doubles; what is null becomes NaN."""
    try:
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.uint8())
        doubles = pc.fill_null(values.cast(pa.float64(), safe=False), float("nan"))
    except pa.ArrowException as error:
        raise _UnfitError(f"column {name} holds {values.type}: must hold numbers") from error
    return doubles.to_numpy(zero_copy_only=False)
