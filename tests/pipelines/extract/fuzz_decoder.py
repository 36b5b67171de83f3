"""Damaged videos through planner and decoder, one after the other, under limits.

`python fuzz_decoder.py FOLDER SEED FIRST COUNT`: of the sound videos in FOLDER it makes COUNT
damaged ones, the case FIRST + i always in the same way, and prints a line of JSON for each. A case
that crashes or hangs ends the process; whoever started it goes on behind.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from pathlib import Path

from pipelines.extract.actors import decode_clips, plan_source
from pipelines.extract.diary import time_limit
from pipelines.extract.planning import PlannedSource
from pipelines.video import ClipSettings

MEMORY = 4 << 30  # of addresses: the libraries alone take more than one
SECONDS = 60.0  # for one case, on a busy machine

SETTINGS = ClipSettings(num_frames=6, size=32)


def damage(whole: bytes, rng: random.Random) -> tuple[str, bytes]:
    """One kind of damage, and the bytes with it."""
    data = bytearray(whole)
    kind = rng.choice(["cut", "flips", "hole", "head", "noise", "shuffled", "doubled", "missing"])
    at = rng.randrange(len(data))
    length = rng.randint(1, max(1, len(data) // 4))
    if kind == "cut":
        del data[at:]
    elif kind == "flips":
        for _ in range(rng.randint(1, 40)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "hole":
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif kind == "head":
        # Boxes, sizes and tables stand at the ends of the file.
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(min(1200, len(data)))
            data[place if rng.random() < 0.5 else -1 - place] = rng.choice([0, 255, 127, 1, 128])
    elif kind == "noise":
        data[at : at + length] = rng.randbytes(len(data[at : at + length]))
    elif kind == "shuffled":
        other = rng.randrange(len(data))
        a, b = data[at : at + length], data[other : other + length]
        data[at : at + len(b)], data[other : other + len(a)] = b, a
    elif kind == "doubled":
        data[at:at] = data[at : at + length]
    else:
        del data[at : at + length]
    return kind, bytes(data)


def outcome(path: Path) -> str:
    """What becomes of a file: the number of clips read, or the class of the error."""
    planned = plan_source(str(path), SETTINGS)
    if not isinstance(planned, PlannedSource):
        return planned.error
    errors = [] if planned.failure is None else [planned.failure.error]
    specs = planned.specs()
    for decoded in decode_clips(specs[:3]):
        if decoded.problem is not None:
            errors.append(decoded.problem.error)
        else:
            assert decoded.frames is not None
            assert decoded.frames.shape == (6, 32, 32, 3)
    wrong = [error for error in errors if error != "VideoError"]
    if wrong:
        return wrong[0]
    return "VideoError" if errors else f"{len(specs)} clips"


def main(folder: str, seed: int, first: int, count: int) -> None:
    """See the module."""
    sources = sorted(Path(folder).glob("sound.*"))
    for number in range(first, first + count):
        rng = random.Random(f"{seed}-{number}")
        source = rng.choice(sources)
        kind, data = damage(source.read_bytes(), rng)
        path = Path(folder) / f"case{source.suffix}"
        path.write_bytes(data)
        start = time.perf_counter()
        with time_limit(SECONDS):
            result = outcome(path)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        line = {"case": number, "kind": kind, "of": source.suffix, "result": result}
        print(json.dumps(line | {"seconds": round(seconds, 3), "peak_mb": peak}), flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    main(sys.argv[1], *map(int, sys.argv[2:5]))
