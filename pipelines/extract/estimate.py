"""What a run will take, from a sample of its inputs: arithmetic only.

All spreads are standard deviations of the estimate itself, from the variance within the sample:
for a mean over n of N things s / sqrt(n) * sqrt(1 - n / N), so that a sample of everything leaves
no doubt; relative ones of a product add up as squares. A sample of one thing says nothing of its
spread, and then there is none.
"""

from __future__ import annotations

import builtins
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from pipelines.extract.progress import clock
from pipelines.extract.settings import SettingsError
from trajectories.report import readable_bytes


@dataclass(frozen=True)
class Prices:
    """What things cost per hour and month, in `currency`. Raises SettingsError below 0."""

    currency: str = "USD"
    gpu_hour: float = 0.0
    cpu_hour: float = 0.0
    gb_month: float = 0.0

    def __post_init__(self) -> None:
        for name in ("gpu_hour", "cpu_hour", "gb_month"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"prices.{name} is {getattr(self, name)}: must be at least 0")


@dataclass(frozen=True)
class Quantity:
    """A value and its standard deviation; None where the sample cannot tell."""

    value: float
    deviation: float | None = None

    @property
    def relative(self) -> float | None:
        """The deviation as a share of the value."""
        if self.deviation is None:
            return None
        return self.deviation / abs(self.value) if self.value else 0.0

    def times(self, other: Quantity) -> Quantity:
        """Product of two that vary independently."""
        value = self.value * other.value
        if self.relative is None or other.relative is None:
            return Quantity(value)
        return Quantity(value, abs(value) * math.hypot(self.relative, other.relative))

    def scaled(self, factor: float) -> Quantity:
        """Times a number that is known."""
        deviation = None if self.deviation is None else abs(factor) * self.deviation
        return Quantity(factor * self.value, deviation)

    def plus(self, other: Quantity) -> Quantity:
        """Sum of two that vary independently."""
        value = self.value + other.value
        if self.deviation is None or other.deviation is None:
            return Quantity(value)
        return Quantity(value, math.hypot(self.deviation, other.deviation))


@dataclass(frozen=True)
class Sample:
    """What was seen of the inputs.

    videos: how many there are. clips, plan_seconds: of each sampled video, 0 clips where it could
    not be read. failed: sampled videos with a failure. decode_seconds, track_seconds,
    encode_seconds, clip_bytes: of each clip that was tried, the tracker being warm and alone.
    tracks: per clip. start_seconds: until the cluster was joined and the tracker loaded.
    """

    videos: int
    clips: tuple[int, ...]
    plan_seconds: tuple[float, ...]
    failed: int
    decode_seconds: tuple[float, ...]
    track_seconds: tuple[float, ...]
    encode_seconds: tuple[float, ...]
    clip_bytes: tuple[float, ...]
    tracks: int
    start_seconds: float


@dataclass(frozen=True)
class Room:
    """What a run would have: trackers, and all that is paid for while it goes on."""

    actors: int
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Estimate:
    """What a run will take, each with its spread. money is without storage, which is by month."""

    clips: Quantity
    failed_videos: Quantity
    wall_seconds: Quantity
    gpu_hours: Quantity
    cpu_hours: Quantity
    bytes: Quantity
    money: Quantity
    money_month: Quantity
    tracks_per_second: float  # of one tracker alone
    tracks_per_clip: int
    actors: int
    prices: Prices
    clips_there: int = 0  # in the dataset already, and not in `clips`

    def to_json(self) -> builtins.bytes:
        """As it is kept."""
        return (json.dumps({"version": 1, **asdict(self)}, indent=1) + "\n").encode()


def mean_of(values: Sequence[float], population: float = math.inf) -> Quantity:
    """Mean of a sample and how far it may be from that of all `population` things."""
    mean = statistics.fmean(values)
    if len(values) >= population:
        return Quantity(mean, 0.0)
    if len(values) < 2:
        return Quantity(mean)
    error = statistics.stdev(values) / math.sqrt(len(values))
    return Quantity(mean, error * math.sqrt(1.0 - len(values) / population))


def estimate(sample: Sample, room: Room, prices: Prices) -> Estimate:
    """The estimate of a whole run from a sample with at least one video and one clip.

    With GPUs, planning and decoding go on beside the tracking and only cost time where the CPUs
    cannot keep up; without, all share the CPUs. Everything there is, is paid for from beginning to
    end.
    """
    clips = mean_of(sample.clips, sample.videos).scaled(sample.videos)
    seen = len(sample.clips)
    track = clips.times(mean_of(sample.track_seconds, clips.value)).scaled(1.0 / room.actors)
    decode = clips.times(mean_of(sample.decode_seconds, clips.value))
    plan = mean_of(sample.plan_seconds, sample.videos).scaled(sample.videos)
    feed = decode.plus(plan).scaled(1.0 / room.cpus)
    if room.gpus:
        work = max(track, feed, key=lambda quantity: quantity.value)
    else:
        work = track.plus(feed)
    wall = work.plus(Quantity(sample.start_seconds, 0.0))
    gpu_hours, cpu_hours = wall.scaled(room.gpus / 3600), wall.scaled(room.cpus / 3600)
    size = clips.times(mean_of(sample.clip_bytes, clips.value))
    price = (room.gpus * prices.gpu_hour + room.cpus * prices.cpu_hour) / 3600
    share = sample.failed / seen
    spread = math.sqrt(share * (1 - share) / seen * max(0.0, 1 - seen / sample.videos))
    return Estimate(
        clips=clips,
        failed_videos=Quantity(share, spread).scaled(sample.videos),
        wall_seconds=wall,
        gpu_hours=gpu_hours,
        cpu_hours=cpu_hours,
        bytes=size,
        money=wall.scaled(price),
        money_month=size.scaled(prices.gb_month / 1e9),
        tracks_per_second=sample.tracks / statistics.fmean(sample.track_seconds),
        tracks_per_clip=sample.tracks,
        actors=room.actors,
        prices=prices,
    )


def estimate_from_json(data: bytes, name: str) -> Estimate:
    """Inverse of `Estimate.to_json`; `name` is for the error message. Raises SettingsError."""
    try:
        values: dict[str, Any] = json.loads(data)
        if values.pop("version") != 1:
            raise SettingsError(f"{name} is of another release: make it again with --dry-run")
        for item in fields(Estimate):
            if item.type == "Quantity":
                values[item.name] = Quantity(**values[item.name])
        return Estimate(**{**values, "prices": Prices(**values["prices"])})
    except SettingsError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{name} is no estimate ({type(error).__name__}): make it again with --dry-run"
        ) from error


def estimate_rows(made: Estimate) -> list[tuple[str, str]]:
    """For people: name and value; the range is two standard deviations to either side."""
    rows = [("clips", spread_text(made.clips, _count))]
    if made.failed_videos.value:
        rows.append(("bad videos", spread_text(made.failed_videos, _count)))
    rows.append(("time", spread_text(made.wall_seconds, clock)))
    if made.gpu_hours.value:
        rows.append(("GPU-hours", spread_text(made.gpu_hours, _figure)))
    rows.append(("CPU-hours", spread_text(made.cpu_hours, _figure)))
    rows.append(("output", spread_text(made.bytes, readable_bytes)))
    if made.money.value:
        rows.append(("money", f"{spread_text(made.money, _money)} {made.prices.currency}"))
    if made.money_month.value:
        month = f"{spread_text(made.money_month, _money)} {made.prices.currency} a month"
        rows.append(("storage", month))
    return rows


def compare(made: Estimate, outcome: Mapping[str, float]) -> list[tuple[str, float, Quantity]]:
    """Name, outcome and estimate, for each figure of an outcome that the estimate has.

    outcome: "clips", "wall_seconds" and "bytes" of a run. A run that did only a part of the clips,
    since the rest was there, is compared with as large a part of the estimate.
    """
    share = outcome.get("share", 1.0)
    return [
        (name, outcome[name], getattr(made, name).scaled(share))
        for name in ("clips", "wall_seconds", "bytes")
        if name in outcome
    ]


def compare_rows(made: Estimate, outcome: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """The same in words: name, outcome, estimate with its range."""
    words = {
        "clips": ("clips", _count),
        "wall_seconds": ("time", clock),
        "bytes": ("output", readable_bytes),
    }
    rows = []
    for name, value, expected in compare(made, outcome):
        title, shown = words[name]
        rows.append((title, shown(value), spread_text(expected, shown)))
        if name == "wall_seconds" and made.money.value and made.wall_seconds.value:
            price = made.money.value / made.wall_seconds.value
            money = f"{_money(price * value)} {made.prices.currency}"
            rows.append(("money", money, spread_text(expected.scaled(price), _money)))
    return rows


def spread_text(quantity: Quantity, shown: Any) -> str:
    """A value and its range of two standard deviations, as `shown` writes numbers."""
    text = f"{shown(quantity.value)}"
    if quantity.deviation is None:
        return f"{text} (spread unknown: the sample is too small)"
    if not quantity.deviation:
        return text
    low = max(0.0, quantity.value - 2 * quantity.deviation)
    return f"{text} ({shown(low)} to {shown(quantity.value + 2 * quantity.deviation)})"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _figure(value: float) -> str:
    return f"{value:,.1f}" if value >= 10 else f"{value:.3g}"


def _money(value: float) -> str:
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.2g}"
