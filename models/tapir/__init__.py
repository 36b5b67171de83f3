"""TAPIR: Tracking Any Point with per-frame Initialization and temporal Refinement."""

from models.tapir.config import CONFIGS, TapirConfig
from models.tapir.estimate import Estimate
from models.tapir.network import Tapir

__all__ = ["CONFIGS", "Estimate", "Tapir", "TapirConfig"]
