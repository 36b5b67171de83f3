"""What can keep an extraction from starting or going on. Each `str()` is a single line."""

from __future__ import annotations


class ExtractError(RuntimeError):
    """The run cannot go on: storage full, tracker unloadable, nothing given, …"""


class ClusterError(ExtractError):
    """No Ray cluster answers where one should, or none can be started here."""


class ClusterLostError(ClusterError):
    """The Ray cluster that the run was on has gone; the same run goes on when it is back."""


class PoolError(ExtractError):
    """The cluster cannot hold the trackers, or they do not start."""


class RunStoppedError(ExtractError):
    """The run was told to stop."""
