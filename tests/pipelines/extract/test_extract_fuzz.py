"""Damaged videos by the thousand: each is clips or one clear error, in bounded time and memory.

`TAPIRUS_FUZZ=1000 pytest -m slow -s …` makes it shorter.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fuzz_decoder import damage

from pipelines.video import write_video

SCRIPT = Path(__file__).parent / "fuzz_decoder.py"
SEED = 5
CASES = int(os.environ.get("TAPIRUS_FUZZ", "4000"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small sound videos in several containers and codecs, with motion and a cut."""
    folder = tmp_path_factory.mktemp("sound")
    rng = np.random.default_rng(0)
    scenes = [rng.integers(0, 255, (48, 80, 3), dtype=np.uint8) for _ in range(2)]
    frames = [np.roll(scenes[i // 12], i, axis=1)[:, :64] for i in range(24)]
    write_video(folder / "sound.mp4", frames, 12)
    write_video(folder / "sound.gif", frames, 12)
    for name, codec in (("sound.avi", "mpeg4"), ("sound.mkv", "mjpeg")):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=12)
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
    return folder


def run(folder: Path, count: int) -> list[dict[str, Any]]:
    """Lines of all cases; a case that ended its process has none of its own and is made one.

    Each case has a limit of its own, kept by the process itself.
    """
    lines: list[dict[str, Any]] = []
    while len(lines) < count:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(folder), *map(str, (SEED, len(lines))),
             str(count - len(lines))],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        lines += found
        if len(lines) < count:
            tail = done.stderr[-300:]
            how = "Timeout" if "Timeout" in done.stderr else f"exit code {done.returncode}"
            lines.append({"case": len(lines), "result": f"{how}: {tail}", "seconds": 0.0})
    return lines


@pytest.mark.timeout(3500)
@pytest.mark.parametrize("count", [60, pytest.param(CASES, marks=pytest.mark.slow)])
def test_damaged_videos_are_clips_or_one_clear_error(sound: Path, count: int) -> None:
    lines = run(sound, count)
    bad = [
        line
        for line in lines
        if line["result"] != "VideoError" and not line["result"].endswith(" clips")
    ]
    assert bad == []
    results = Counter(line["result"] for line in lines)
    kinds = Counter((line["kind"], line["of"]) for line in lines)
    slowest = max(line["seconds"] for line in lines)
    peak = max(line["peak_mb"] for line in lines)
    print(f"{count} cases: {dict(results)}, slowest {slowest:.2f} s, peak {peak} MB")
    # The damage is of all kinds, and does harm: neither all nor none is refused.
    assert len({kind for kind, _ in kinds}) == 8
    assert len({suffix for _, suffix in kinds}) == 4
    assert 0.1 * count < results["VideoError"] < 0.95 * count
    assert peak < 1500


def test_damage_is_the_same_for_the_same_seed_and_always_changes_something() -> None:
    whole = random.Random(0).randbytes(3000)
    for seed in range(200):
        first, second = (damage(whole, random.Random(seed)) for _ in range(2))
        assert first == second
    kinds = {damage(whole, random.Random(seed))[0] for seed in range(200)}
    assert len(kinds) == 8
    assert sum(damage(whole, random.Random(seed))[1] == whole for seed in range(200)) < 5
