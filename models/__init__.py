"""Trackers and their weights. Needs only torch and numpy at import.

``load_tracker(name).track(video, queries)`` is all that most users need.
"""

from models.checkpoints import CheckpointError
from models.queries import grid_queries
from models.tracker import Tracker, TrackResult, load_tracker

__all__ = ["CheckpointError", "TrackResult", "Tracker", "grid_queries", "load_tracker"]
