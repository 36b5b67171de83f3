"""SQL over a dataset: DuckDB in memory with the committed files as views, and helpers.

Views
  clips, tracks, failures   the tables of the dataset; failures has one column more, replay: the
                            command that runs the clip again
  clip_arrays               one row per clip: the compact arrays as stored
  points                    one row per clip, track and frame: clip_id, track, t, x, y, visible,
                            uncertainty; filter it by clip_id, or use the helpers

Helpers (in FROM)
  clip_points(id)           `points` of one clip
  track_points(id, n)       `points` of track n of one clip
  source_points(id)         `points` of one clip in pixels of the upright source, with seconds
  visible_at(frame)         the points of all clips that are visible at a frame
  in_box(x0, y0, x1, y1)    tracks seen inside a box of the clip: first_t, last_t, frames
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import duckdb

from trajectories.encoding import POSITION_SCALE, UNCERTAINTY_LEVELS
from trajectories.errors import QueryError
from trajectories.object_storage import ObjectStorage
from trajectories.schema import SCHEMAS

if TYPE_CHECKING:
    from trajectories.dataset import Dataset

_VIEW_NAMES = {table: table for table in SCHEMAS} | {"points": "clip_arrays"}

_LEVEL = " + ".join(f"{8 >> bit} * get_bit(levels, 4 * i::INTEGER + {bit})" for bit in range(4))

# One row per element i = t * N + n of the arrays. The bit strings become values in the same step
# that unnests: carried further, into a window or a join, each row would copy a clip's whole bit
# string.
_ELEMENTS = f"""
    SELECT clip_id, i % num_tracks AS track, i // num_tracks AS t, dx, dy,
           get_bit(seen, i::INTEGER) = 1 AS visible,
           (({_LEVEL}) / {UNCERTAINTY_LEVELS})::FLOAT AS uncertainty
    FROM (
        SELECT clip_id, num_tracks, seen, levels, unnest(range(num_tracks * (frames))) AS i,
               unnest(x_steps[:num_tracks * (frames)]) AS dx,
               unnest(y_steps[:num_tracks * (frames)]) AS dy
        FROM (
            SELECT *, CASE WHEN num_tracks > 0 THEN visible::BIT END AS seen,
                   CASE WHEN num_tracks > 0 THEN uncertainty::BIT END AS levels
            FROM clip_arrays
        )
    )"""

_POINTS = f"""
    CREATE VIEW points AS
    SELECT clip_id, track::INTEGER AS track, t::INTEGER AS t,
           (sum(dx) OVER steps / {POSITION_SCALE})::FLOAT AS x,
           (sum(dy) OVER steps / {POSITION_SCALE})::FLOAT AS y,
           visible, uncertainty
    FROM ({_ELEMENTS.replace("frames", "num_frames")})
    WINDOW steps AS (PARTITION BY clip_id, track ORDER BY t)"""

# Filters on clip_id pass through the window and the unnesting of `points` down to the files.
_HELPERS = [
    "CREATE MACRO clip_points(id) AS TABLE SELECT * FROM points WHERE clip_id = id",
    """CREATE MACRO track_points(id, n) AS TABLE
       SELECT * FROM points WHERE clip_id = id AND track = n""",
    """CREATE MACRO source_points(id) AS TABLE
       SELECT clip_id, track, t, start_s + t / fps AS seconds,
              crop_x + x * crop_width / width AS x, crop_y + y * crop_height / height AS y,
              visible, uncertainty
       FROM points JOIN clips USING (clip_id) WHERE clip_id = id""",
    # A sum over the frames up to the one asked for is much cheaper than the window of `points`.
    f"""CREATE MACRO visible_at(frame) AS TABLE
       SELECT clip_id, track::INTEGER AS track, frame::INTEGER AS t, x, y, uncertainty
       FROM (
           SELECT clip_id, track, (sum(dx) / {POSITION_SCALE})::FLOAT AS x,
                  (sum(dy) / {POSITION_SCALE})::FLOAT AS y,
                  bool_or(visible AND t = frame) AS shown,
                  max(CASE WHEN t = frame THEN uncertainty END) AS uncertainty
           FROM ({_ELEMENTS.replace("frames", "least(greatest(frame + 1, 0), num_frames)")})
           GROUP BY clip_id, track
       ) WHERE shown""",
    """CREATE MACRO in_box(x0, y0, x1, y1) AS TABLE
       SELECT clip_id, track, min(t) AS first_t, max(t) AS last_t, count(*)::INTEGER AS frames
       FROM points WHERE visible AND x >= x0 AND x < x1 AND y >= y0 AND y < y1
       GROUP BY clip_id, track""",
]


def connect_views(dataset: Dataset) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in memory with the views and helpers of this module."""
    connection = duckdb.connect()
    # A misspelt function must be an error at once, not a download.
    connection.execute("SET autoinstall_known_extensions = false")
    if isinstance(dataset.storage, ObjectStorage):
        from trajectories.sql_files import SqlFiles

        connection.register_filesystem(SqlFiles(dataset.storage.filesystem))
    try:
        for table, view in _VIEW_NAMES.items():
            urls = [dataset.storage.url(name) for name in dataset.paths(table)]
            if urls:
                files = ", ".join(literal(_no_glob(url)) for url in urls)
                source = f"read_parquet([{files}], hive_partitioning = false)"
            else:
                source = f"empty_{table}"
                connection.register(source, SCHEMAS[table].empty_table())
            more = f", {_replay(dataset)}" if table == "failures" else ""
            connection.execute(f"CREATE VIEW {view} AS SELECT *{more} FROM {source}")
        for statement in [_POINTS, *_HELPERS]:
            connection.execute(statement)
    except duckdb.Error as error:
        raise QueryError(f"{dataset.root}: {message_of(error)}") from error
    return connection


_ASKING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


def run_query(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """The result of a query, computed when it is fetched. Raises QueryError."""
    try:
        statements = connection.extract_statements(query)
        asks = [s.type in _ASKING for s in statements]
        relation = connection.sql(query) if asks == [True] else None
    except duckdb.Error as error:
        raise QueryError(message_of(error)) from error
    if relation is None:
        raise QueryError("give one SELECT: a dataset is only read")
    return relation


def _replay(dataset: Dataset) -> str:
    """A column of `failures`: the command that runs the clip, or the video, again."""
    start = literal(f"tapirus replay {shlex.quote(dataset.root)} ")
    # As shlex.quote does: a quote ends the quoted text, stands in the other kind, and begins anew.
    quote, inside = literal("'"), literal("""'"'"'""")
    source = f"{quote} || replace(source, {quote}, {inside}) || {quote}"
    return f"{start} || coalesce(clip_id, {source}) AS replay"


def literal(text: str) -> str:
    """Text as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _no_glob(path: str) -> str:
    """DuckDB expands wildcards in file names; as a class of one character they mean themselves."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)


def message_of(error: duckdb.Error) -> str:
    """An error of DuckDB in one line, without the excerpt of the query."""
    text = str(error).split("\n\nLINE ")[0].strip()
    if text.startswith("Traceback "):
        text = text.rpartition("\n")[2].partition(": ")[2]  # what a file store raised
    text = " ".join(text.split())
    if isinstance(error, duckdb.CatalogException) and text.startswith("Catalog Error: Table"):
        text += " (the views are clips, tracks, points, failures, clip_arrays)"
    return text
