"""What a run is, as it travels to wherever Beam works: names, sizes, settings."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.extract.actors import QueryGrid
from pipelines.extract.pool import PoolPlan
from pipelines.extract.settings import ExtractSettings
from trajectories.lease import Ticket


@dataclass(frozen=True)
class FleetSpec:
    """All that is needed to find a run's actors, or to make one again."""

    run: str
    pool: PoolPlan
    grid: QueryGrid
    factory: bytes  # pickled by Ray, so that it may come from a script or a notebook
    spread: bool  # several machines: decode on the one that tracks
    clip_timeout: float | None = None  # seconds for decoding, and for tracking, one clip

    def actor(self, number: int) -> str:
        """Ray's name for a tracker of this run."""
        return f"{self.run}-tracker-{number}"

    @property
    def monitor(self) -> str:
        """Ray's name for this run's monitor."""
        return f"{self.run}-monitor"


@dataclass(frozen=True)
class RunSpec:
    """All that a coordinator needs."""

    root: str
    settings: ExtractSettings
    fleet: FleetSpec
    ray_address: str
    planners: int  # videos searched at the same time
    lease: Ticket | None = None  # what a shard is committed under
