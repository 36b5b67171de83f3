"""Extraction: a Beam job that tracks every clip of many videos on a pool of Ray actors.

`run_extract` does all of it. Its parts, from pure to practical: settings, retry, window, pool and
planning decide; inputs and planning record; actors, fleet and coordinator work on Ray; bridge is
the Beam side; monitor and progress show how it goes.
"""

from pipelines.extract.actors import QueryGrid, Tracked, TrackerFactory, TrackerLike
from pipelines.extract.errors import ClusterError, ExtractError, PoolError
from pipelines.extract.job import default_factory, run_extract
from pipelines.extract.monitor import Snapshot
from pipelines.extract.progress import BarProgress, LogProgress, Progress, default_progress
from pipelines.extract.settings import (
    ExtractSettings,
    Option,
    SettingsError,
    options,
    settings_from_dict,
    settings_to_dict,
)
from pipelines.extract.summary import ExtractSummary

__all__ = [
    "BarProgress",
    "ClusterError",
    "ExtractError",
    "ExtractSettings",
    "ExtractSummary",
    "LogProgress",
    "Option",
    "PoolError",
    "Progress",
    "QueryGrid",
    "SettingsError",
    "Snapshot",
    "Tracked",
    "TrackerFactory",
    "TrackerLike",
    "default_factory",
    "default_progress",
    "options",
    "run_extract",
    "settings_from_dict",
    "settings_to_dict",
]
