"""Synthetic clips of truly three-dimensional scenes: rooms, clutter and falling objects.

Needs MuJoCo for falling objects only.
"""

from pipelines.synthetic.solid.clip import make_solid_clip
from pipelines.synthetic.solid.config import SolidConfig

__all__ = ["SolidConfig", "make_solid_clip"]
