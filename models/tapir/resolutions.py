"""Which sizes a video is refined at."""

from __future__ import annotations

import math


def default_resolutions(size: tuple[int, int], initial: tuple[int, int]) -> list[tuple[int, int]]:
    """Refinement levels for a video of ``size`` (height, width).

    The initial resolution alone for a video of at most that size; otherwise logarithmic steps
    from it to the full size, one per started octave, floored to multiples of 8.
    """
    octaves = math.ceil(max(math.log2(s / i) for s, i in zip(size, initial, strict=True)))
    if octaves <= 0:
        return [initial]
    return [
        (
            _between(initial[0], size[0], level / octaves),
            _between(initial[1], size[1], level / octaves),
        )
        for level in range(octaves + 1)
    ]


def _between(start: int, end: int, fraction: float) -> int:
    # Rounding first, so that 255.9999 at an end point does not lose a whole step.
    return max(8, round(start * (end / start) ** fraction, 6).__floor__() // 8 * 8)
