"""The tables of a dataset: columns, types, units, and how Parquet stores them.

The schema is versioned: readers refuse a dataset whose version is newer than theirs. The version
and every column's description and unit are also in the metadata of each file.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1
CLIPS_PER_ROW_GROUP = 8  # of `points`: what a reader holds in memory at a time

_VERSION_KEY = b"tapirus.schema_version"
_TABLE_KEY = b"tapirus.table"


def _field(
    name: str, kind: pa.DataType, unit: str, description: str, nullable: bool = False
) -> pa.Field:
    return pa.field(name, kind, nullable, {"unit": unit, "description": description})


def _list(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", kind, nullable=False))


def _table(name: str, fields: list[pa.Field]) -> pa.Schema:
    metadata = {_VERSION_KEY: str(SCHEMA_VERSION).encode(), _TABLE_KEY: name.encode()}
    return pa.schema(fields, metadata=metadata)


_TEXT, _INT, _REAL, _FINE = pa.string(), pa.int32(), pa.float32(), pa.float64()
_CLIP_ID = _field("clip_id", _TEXT, "", "stable digest of source and span, 32 hexadecimal digits")

CLIPS = _table(
    "clips",
    [
        _CLIP_ID,
        _field("source", _TEXT, "", "URI or absolute path of the video"),
        _field("start_s", _FINE, "s", "time of the first frame, from the source's first frame"),
        _field("end_s", _FINE, "s", "time of the last frame + 1 / fps"),
        _field("fps", _FINE, "frames/s", "frame rate of the clip"),
        _field("num_frames", _INT, "frames", "length of the clip"),
        _field("width", _INT, "px", "clip width"),
        _field("height", _INT, "px", "clip height"),
        _field("source_width", _INT, "source px", "width of the upright source"),
        _field("source_height", _INT, "source px", "height of the upright source"),
        _field("rotation", _INT, "deg", "clockwise rotation applied to make the frames upright"),
        _field("crop_x", _FINE, "source px", "left edge of what the clip shows"),
        _field("crop_y", _FINE, "source px", "upper edge of what the clip shows"),
        _field("crop_width", _FINE, "source px", "width of what the clip shows"),
        _field("crop_height", _FINE, "source px", "height of what the clip shows"),
        _field("num_tracks", _INT, "tracks", "number of tracks"),
        _field("mean_displacement", _REAL, "px", "mean of the tracks' displacement"),
        _field("median_displacement", _REAL, "px", "median of the tracks' displacement"),
        _field("p90_displacement", _REAL, "px", "90th percentile of the tracks' displacement"),
        _field("mean_speed", _REAL, "px/frame", "mean of the tracks' mean speed"),
        _field("moving_fraction", _REAL, "0..1", "tracks with more than 2 px of displacement"),
        _field("visible_fraction", _REAL, "0..1", "visible positions among all positions"),
        _field("mean_uncertainty", _REAL, "0..1", "mean uncertainty of all positions"),
        _field("camera_dx", _REAL, "px", "median displacement vector, x: motion of the picture"),
        _field("camera_dy", _REAL, "px", "median displacement vector, y: motion of the picture"),
    ],
)

TRACKS = _table(
    "tracks",
    [
        _CLIP_ID,
        _field("track", _INT, "", "index of the track in its clip, from 0"),
        _field("query_t", _REAL, "frames", "frame index of the query point"),
        _field("start_x", _REAL, "px", "position at the query frame, x"),
        _field("start_y", _REAL, "px", "position at the query frame, y"),
        _field("end_x", _REAL, "px", "last visible position, x (start where never visible)"),
        _field("end_y", _REAL, "px", "last visible position, y (start where never visible)"),
        _field("displacement", _REAL, "px", "distance from first to last visible position"),
        _field("path_length", _REAL, "px", "sum of steps between frames that are both visible"),
        _field("mean_speed", _REAL, "px/frame", "mean of those steps"),
        _field("max_speed", _REAL, "px/frame", "largest of those steps"),
        _field("visible_fraction", _REAL, "0..1", "share of frames where the point is visible"),
        _field("mean_uncertainty", _REAL, "0..1", "mean over all frames"),
    ],
)

POINTS = _table(
    "points",
    [
        _CLIP_ID,
        _field("num_tracks", _INT, "tracks", "N"),
        _field("num_frames", _INT, "frames", "T"),
        _field("queries", _list(_REAL), "frames, px, px", "[3, N]: t, y, x of the query points"),
        _field("x_steps", _list(_INT), "px/64", "[T, N]: x of frame 0, then differences along T"),
        _field("y_steps", _list(_INT), "px/64", "[T, N]: y of frame 0, then differences along T"),
        _field("visible", pa.binary(), "bits", "[T, N] bits, most significant first"),
        _field("uncertainty", pa.binary(), "1/15", "[T, N] of 4 bits, high half of a byte first"),
    ],
)

FAILURES = _table(
    "failures",
    [
        _field("source", _TEXT, "", "URI or path of the video"),
        _field("clip_id", _TEXT, "", "the clip; null where the whole video failed", True),
        _field("start_s", _FINE, "s", "start of the clip", True),
        _field("end_s", _FINE, "s", "end of the clip", True),
        _field("stage", _TEXT, "", "open, plan, decode or track"),
        _field("error", _TEXT, "", "class of the error"),
        _field("message", _TEXT, "", "what went wrong, one line"),
        _field("attempts", _INT, "", "how often it was tried"),
    ],
)

SCHEMAS: dict[str, pa.Schema] = {
    "clips": CLIPS,
    "tracks": TRACKS,
    "points": POINTS,
    "failures": FAILURES,
}

# Encodings that pyarrow and DuckDB both read. Scalars of tracks share their exponent bytes, which
# BYTE_STREAM_SPLIT puts side by side; steps share their high bits, which DELTA_BINARY_PACKED drops.
_FEW_VALUES = ["clip_id", "query_t", "visible_fraction"]
_SPLIT = [f.name for f in TRACKS if f.type == _REAL and f.name not in _FEW_VALUES]
_WRITE_OPTIONS: dict[str, dict[str, Any]] = {
    "clips": {},
    "failures": {},
    "tracks": {
        "use_dictionary": _FEW_VALUES,
        "column_encoding": {"track": "DELTA_BINARY_PACKED"}
        | dict.fromkeys(_SPLIT, "BYTE_STREAM_SPLIT"),
    },
    "points": {
        "use_dictionary": ["queries.list.element"],
        "column_encoding": {
            "x_steps.list.element": "DELTA_BINARY_PACKED",
            "y_steps.list.element": "DELTA_BINARY_PACKED",
        },
        "write_statistics": ["clip_id"],
    },
}


def write_options(table: str) -> dict[str, Any]:
    """Options of `pyarrow.parquet.ParquetWriter` for a table."""
    common: dict[str, Any] = {"compression": "zstd", "compression_level": 3, "version": "2.6"}
    return common | _WRITE_OPTIONS[table]


def describe() -> str:
    """The whole schema as text: one line per column with type, unit and meaning."""
    lines = [f"tapirus dataset schema, version {SCHEMA_VERSION}"]
    for name, schema in SCHEMAS.items():
        lines += ["", name]
        for field in schema:
            unit = field.metadata[b"unit"].decode()
            meaning = field.metadata[b"description"].decode()
            kind = _type_name(field.type) + ("?" if field.nullable else "")
            lines.append(f"  {field.name:<20} {kind:<12} {unit:<15} {meaning}")
    return "\n".join(lines)


def _type_name(kind: pa.DataType) -> str:
    return f"list<{kind.value_type}>" if pa.types.is_list(kind) else str(kind)
