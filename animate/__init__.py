"""A photo in, its animation out. See `AnimationPipeline`, and `animate --help`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from animate.photo import Photo, PhotoError, read_photo
    from animate.pipeline import AnimationOutput, AnimationPipeline
    from animate.settings import AnimationSettings
    from animate.tracks_file import Motion, read_motion, write_motion

__all__ = [
    "AnimationOutput",
    "AnimationPipeline",
    "AnimationSettings",
    "Motion",
    "Photo",
    "PhotoError",
    "read_motion",
    "read_photo",
    "write_motion",
]

_HOMES = {
    "AnimationOutput": "pipeline",
    "AnimationPipeline": "pipeline",
    "AnimationSettings": "settings",
    "Motion": "tracks_file",
    "Photo": "photo",
    "PhotoError": "photo",
    "read_motion": "tracks_file",
    "read_photo": "photo",
    "write_motion": "tracks_file",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'animate' has no attribute {name!r}")
    return getattr(importlib.import_module(f"animate.{_HOMES[name]}"), name)
