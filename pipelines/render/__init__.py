"""Pictures of tracks: overlay frames, trails, contact sheets, and a demo clip with known motion."""

from __future__ import annotations

from pipelines.render.colors import rainbow_colors
from pipelines.render.demo_clip import DemoClip, demo_clip
from pipelines.render.sheet import (
    IMAGE_SUFFIXES,
    Panel,
    clip_panels,
    contact_sheet,
    grid_sheet,
    save_image,
)
from pipelines.render.tracks import draw_tracks
from pipelines.render.trails import draw_trails

__all__ = [
    "IMAGE_SUFFIXES",
    "DemoClip",
    "Panel",
    "clip_panels",
    "contact_sheet",
    "demo_clip",
    "draw_tracks",
    "draw_trails",
    "grid_sheet",
    "rainbow_colors",
    "save_image",
]
