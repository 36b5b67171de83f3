"""How many clips go to a tracker in one call, and how many calls ahead. Decisions only.

A call costs about a millisecond of the driver and another of Ray, whatever is in it: nothing beside
a clip that takes a second, more than the tracking of one that takes none. Batches of a fifth of a
second cost little when they are lost, and leave no tracker idle at the end. Calls ahead are what
decodes while a tracker works: where decoding takes longer than tracking, because storage is far or
a GPU fast, more of them have to be under way at once.
"""

from __future__ import annotations

_CALL_SECONDS = 0.2
_MOST_CLIPS = 16
_LEAST_CALLS, _MOST_CALLS = 3, 16  # two keep a tracker busy while a result travels
_MARGIN = 1.25  # decoding does not take the same time for every clip
# Of frames, in a call and in all calls of a tracker: they lie in the object store.
_CALL_BYTES, _MOST_BYTES = 64_000_000, 256_000_000
_MEMORY = 0.8  # how much of what was known stays when more is known


class Flight:
    """What may be on its way to a tracker, from what clips have taken so far.

    batch_clips, in_flight: always these; None: they follow, from 1 clip and 3 calls on.
    clip_bytes: of a clip's frames.
    """

    def __init__(self, batch_clips: int | None, in_flight: int | None, clip_bytes: int) -> None:
        self._batch_clips = batch_clips
        self._in_flight = in_flight
        self._clip_bytes = clip_bytes
        self._decoding: float | None = None  # seconds per clip
        self._tracking: float | None = None

    @property
    def clips(self) -> int:
        """Clips of the next call: by the slower of decoding and tracking, both go clip by clip."""
        if self._batch_clips is not None:
            return self._batch_clips
        if self._decoding is None or self._tracking is None:
            return 1
        most = max(1, min(_MOST_CLIPS, _CALL_BYTES // self._clip_bytes))
        seconds = max(self._decoding, self._tracking)
        return most if seconds * most <= _CALL_SECONDS else max(1, int(_CALL_SECONDS / seconds))

    @property
    def calls(self) -> int:
        """Calls under way for one tracker at most."""
        if self._in_flight is not None:
            return self._in_flight
        if not self._decoding or self._tracking is None:
            return _LEAST_CALLS
        ratio = self._decoding / max(self._tracking, 1e-3 * self._decoding)
        room = _MOST_BYTES // (self._clip_bytes * self.clips)
        return max(_LEAST_CALLS, min(_LEAST_CALLS + int(_MARGIN * ratio), _MOST_CALLS, room))

    def learn(self, clips: int, decoding: float, tracking: float) -> None:
        """Takes in what a batch took: seconds of the decoder, and of the tracker."""
        self._decoding = _mean(self._decoding, decoding / clips)
        self._tracking = _mean(self._tracking, tracking / clips)


def _mean(known: float | None, seconds: float) -> float:
    """Of what is known and what is new; no clock that jumps makes it negative."""
    mean = seconds if known is None else _MEMORY * known + (1.0 - _MEMORY) * seconds
    return max(0.0, mean)
