"""Weights: published and bundled checkpoints, read safely, found by name or file."""

from models.checkpoints.cache import cache_folder, fetch_checkpoint, find_checkpoint
from models.checkpoints.download import download
from models.checkpoints.errors import CheckpointError
from models.checkpoints.infer import config_for
from models.checkpoints.load import build_network, load_network
from models.checkpoints.progress import Progress
from models.checkpoints.read import read_state_dict
from models.checkpoints.registry import DEFAULT_NAME, PUBLISHED, PublishedCheckpoint
from models.checkpoints.store import read_config, save_checkpoint

__all__ = [
    "DEFAULT_NAME",
    "PUBLISHED",
    "CheckpointError",
    "Progress",
    "PublishedCheckpoint",
    "build_network",
    "cache_folder",
    "config_for",
    "download",
    "fetch_checkpoint",
    "find_checkpoint",
    "load_network",
    "read_config",
    "read_state_dict",
    "save_checkpoint",
]
