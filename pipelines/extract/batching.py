"""How many clips go to a tracker in one call. Decisions only.

A call costs about a millisecond of the driver and another of Ray, whatever is in it: nothing beside
a clip that takes a second, more than the tracking of one that takes none. Batches of a fifth of a
second cost little when they are lost, and leave no tracker idle at the end.
"""

from __future__ import annotations

_CALL_SECONDS = 0.2
_MOST_CLIPS = 16
_MOST_BYTES = 64_000_000  # of frames: several batches of every tracker lie in the object store
_MEMORY = 0.8  # how much of what was known stays when more is known


class BatchSize:
    """The number of clips per call, from what clips have taken so far.

    fixed: always this many; None: `clips` begins at 1 and follows. clip_bytes: of a clip's frames.
    """

    def __init__(self, fixed: int | None, clip_bytes: int) -> None:
        self._fixed = fixed
        self._most = max(1, min(_MOST_CLIPS, _MOST_BYTES // clip_bytes))
        self._seconds: float | None = None  # per clip

    @property
    def clips(self) -> int:
        """Clips of the next batch."""
        if self._fixed is not None:
            return self._fixed
        if self._seconds is None:
            return 1
        if self._seconds * self._most <= _CALL_SECONDS:
            return self._most
        return max(1, int(_CALL_SECONDS / self._seconds))

    def learn(self, clips: int, decoding: float, tracking: float) -> None:
        """Takes in what a batch took: seconds of the decoder, and of the tracker.

        The slower one decides: the clips of a batch are decoded one after the other.
        """
        seconds = max(decoding, tracking) / clips
        if self._seconds is not None:
            seconds = _MEMORY * self._seconds + (1.0 - _MEMORY) * seconds
        self._seconds = max(0.0, seconds)
