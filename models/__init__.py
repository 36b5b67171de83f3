"""Trackers and their weights. Needs only torch and numpy at import.

``load_tracker(name).track(video, queries)`` is all that most users need.
"""

import os

# Read by torch at its first large allocation: ask the kernel for huge pages. Score maps are
# allocated and freed all the time, and faulting them in page by page costs a tenth of tracking.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

from models.checkpoints import CheckpointError
from models.queries import grid_queries
from models.tracker import Tracker, TrackResult, load_tracker

__all__ = ["CheckpointError", "TrackResult", "Tracker", "grid_queries", "load_tracker"]
