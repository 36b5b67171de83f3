"""Synthetic clips with exact tracks: textured layers that move in front of each other."""

from pipelines.synthetic.clip import SyntheticClip, make_clip
from pipelines.synthetic.config import Cameras, SyntheticConfig
from pipelines.synthetic.textures import TextureBank

__all__ = ["Cameras", "SyntheticClip", "SyntheticConfig", "TextureBank", "make_clip"]
