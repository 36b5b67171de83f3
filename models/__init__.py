"""Trackers and their weights. Needs only torch and numpy.

``load_tracker(name).track(video, queries)`` is all that most users need. Names are imported when
they are first used: torch takes seconds, and not everybody who needs a grid of queries needs it.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.checkpoints import CheckpointError
    from models.queries import grid_queries
    from models.tracker import Tracker, TrackResult, load_tracker

__all__ = ["CheckpointError", "TrackResult", "Tracker", "grid_queries", "load_tracker"]

_HOMES = {
    "CheckpointError": "models.checkpoints",
    "TrackResult": "models.tracker",
    "Tracker": "models.tracker",
    "grid_queries": "models.queries",
    "load_tracker": "models.tracker",
}

# Read by torch at its first large allocation: ask the kernel for huge pages. Score maps are
# allocated and freed all the time, and faulting them in page by page costs a tenth of tracking.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'models' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
