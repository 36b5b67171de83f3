"""Where the trackers' time went: tracking, or waiting for what. Pure arithmetic.

The yardstick is the bare tracker: what it does with frames at hand and nothing around it. A run is
as fast as that where trackers never wait; every second that they do has a reason, and the reasons
add up to all that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Reasons why a tracker stood still, as its actor tells them.
WAITS: dict[str, str] = {
    "input": "waiting for input",  # nothing was sent, or its decoding had not begun
    "decode": "decode",  # its next clip was being decoded
    "transfer": "transfer",  # decoded, but not here yet
    "encode": "encode",  # tracked; the tracks of the batch's last clip were being packed
}
_WRITE = "write"
_SLOWER = "slower tracking"
_START = "start and end"


@dataclass(frozen=True)
class SpeedOfLight:
    """What a run reached of what its trackers could do.

    achieved, bare: tracks per second of all trackers together. ratio: of the two. alone: whether
    the bare rate was measured with nothing beside it, else it is that of the run's own calls.
    losses: reason → share of the trackers' time; with the ratio they add up to 1.
    """

    ratio: float
    achieved: float
    bare: float
    alone: bool
    losses: dict[str, float]

    def lines(self) -> list[tuple[str, str]]:
        """For people: name and value, two of them."""
        how = "measured alone" if self.alone else "as in its own calls"
        speed = (
            f"{self.ratio:.2f} of the bare tracker: {_rate(self.achieved)} of "
            f"{_rate(self.bare)} tracks/s ({how})"
        )
        rest = ", ".join(f"{name} {100 * share:.1f}%" for name, share in self.losses.items())
        return [("speed", speed), ("the rest", rest)]


def speed_of_light(
    tracks: int,
    actors: float,
    working: float,
    track_seconds: float,
    waits: Mapping[str, float],
    write_seconds: float,
    bare: float | None = None,
) -> SpeedOfLight | None:
    """Compares a run with its bare tracker; None where nothing was tracked.

    actors: how many there were, in the mean over `working`, the wall seconds from the first clip
    sent to the last shard committed. track_seconds and waits: by reason, summed over actors.
    write_seconds: wall seconds after the last result, in which only shards were written. bare:
    tracks per second of one tracker measured alone; None: those of its own calls in this run.
    """
    room = actors * working
    if not (tracks and room > 0 and track_seconds > 0):
        return None
    alone = bare is not None and bare > 0
    rate = bare if alone and bare is not None else tracks / track_seconds
    useful = tracks / rate
    losses = {text: waits.get(name, 0.0) / room for name, text in WAITS.items()}
    losses[_WRITE] = write_seconds / working
    if alone:
        losses[_SLOWER] = (track_seconds - useful) / room
    # Before an actor's first batch and after its last one, deaths, and the calls themselves.
    losses[_START] = 1.0 - useful / room - sum(losses.values())
    return SpeedOfLight(useful / room, tracks / working, actors * rate, alone, losses)


def waited(
    free_since: float | None, started: float, decoding: Sequence[tuple[float, float]]
) -> dict[str, float]:
    """Why an actor stood still before a batch: seconds by reason.

    free_since: when it had finished the batch before, None for its first one, whose wait is
    nobody's. started: when this batch began. decoding: begin and end of each of its clips'
    decoding. All by clocks that agree: clips are decoded on the machine that tracks them.
    """
    if free_since is None or not decoding or started <= free_since:
        return {}
    begin = min(max(min(b for b, _ in decoding), free_since), started)
    end = min(max(max(e for _, e in decoding), begin), started)
    return {"input": begin - free_since, "decode": end - begin, "transfer": started - end}


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
