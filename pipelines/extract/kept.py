"""An estimate kept beside its dataset, so that the run can compare itself with it.

Not in it: a dry run makes no dataset, and a folder that holds files is not taken for a new one.
"""

from __future__ import annotations

import os

from pipelines.extract.estimate import Estimate, estimate_from_json
from trajectories.storage import connect


def estimate_file(output: str) -> str | None:
    """Where the estimate for a dataset is kept, beside it; None where there is no such place."""
    root = output.rstrip("/")
    protocol, separator, path = root.rpartition("://")
    if separator and "/" not in path and protocol != "memory":
        return None  # a bucket: what lies beside it is another bucket
    return f"{root}.estimate.json"


def keep_estimate(made: Estimate, url: str) -> None:
    """Writes an estimate to a path or URL. Raises StorageError."""
    folder, _, name = _absolute(url).rpartition("/")
    connect(folder).write(name, made.to_json())


def kept_estimate(url: str) -> Estimate | None:
    """The estimate at a path or URL, None where there is none. Raises SettingsError."""
    folder, _, name = _absolute(url).rpartition("/")
    try:
        return estimate_from_json(connect(folder).read(name), url)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _absolute(url: str) -> str:
    return url if "://" in url else os.path.abspath(url)
