"""Memory of an extraction, and that it does not grow with what there is to do.

    python benchmarks/extract_memory.py            # about 6 minutes on 2 cores
    python benchmarks/extract_memory.py --quick    # whether all of it works

Three comparisons, each with a tracker that does nothing: a video of 10 hours beside one of 6
minutes, 1,000 queued videos beside 50, and storage that takes half a second for every file beside
one that does not. The figure is the largest sum, over all processes of the run, of the memory that
they would give back if they ended (proportional set size, so shared pages count once), looked up
four times a second. Ray's object store is shown apart: its pages stay once they were used, up to
`--object-store-mb`. All files are made here, in a temporary folder that is removed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import av
import numpy as np
from ray_data_job import Still

from pipelines.extract import ExtractSettings, run_extract
from pipelines.extract.settings import settings_from_dict
from pipelines.video import write_video
from trajectories.storage import LocalStorage, Staged

_FPS = 10
_KINDS = ("driver", "tracker", "workers", "Ray itself")
_MINUTE = 60 * _FPS  # frames


def repeat_video(path: Path, minutes: int, folder: Path) -> None:
    """A video of so many minutes: one encoded minute over and over, packet by packet."""
    minute = folder / "minute.mp4"
    if not minute.exists():
        picture = np.random.default_rng(0).integers(0, 255, (48, 96, 3), np.uint8)
        frames = (np.roll(picture, t, axis=1)[:, :64] for t in range(_MINUTE))
        write_video(minute, frames, _FPS)
    with av.open(str(path), "w") as sink:
        out = None
        for number in range(minutes):
            with av.open(str(minute)) as source:
                stream = source.streams.video[0]
                assert stream.time_base is not None
                out = out or sink.add_stream_from_template(stream)
                shift = int(60 * number / stream.time_base)
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue  # the mark at the end
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = out
                    sink.mux(packet)


@contextlib.contextmanager
def slow_storage() -> Iterator[None]:
    """Half a second for every file that is published."""
    publish = LocalStorage.publish

    def late(storage: LocalStorage, staged: Staged) -> None:
        time.sleep(0.5)
        publish(storage, staged)

    with mock.patch.object(LocalStorage, "publish", late):
        yield


class Memory:
    """The most that this process and its descendants have held together, and by kind then."""

    def __init__(self) -> None:
        self.most = 0.0  # MB
        self.store = 0.0  # of them in Ray's object store, whose pages stay once they were used
        self.kinds: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.25):
            store, kinds = 0.0, dict.fromkeys(_KINDS, 0.0)
            for pid in descendants(os.getpid()):
                kind, size, shared = _held(pid)
                kinds[kind] += size - shared
                store += shared
            total = store + sum(kinds.values())
            if total > self.most:
                self.most, self.store, self.kinds = total, store, kinds


def descendants(root: int) -> list[int]:
    """The process and all that it has started, directly or not."""
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has just ended
            children[int(stat.rpartition(")")[2].split()[1])].append(int(entry.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def _held(pid: int) -> tuple[str, float, float]:
    """What a process is, in a word; its proportional set size, and the shared part of it, in MB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "Ray itself", 0.0, 0.0  # it has just ended
    found = {line.split()[0]: int(line.split()[1]) / 1000 for line in lines[1:]}
    size, shared = found["Pss:"], found.get("Pss_Shmem:", 0.0)
    name = os.fsdecode(words[0])
    if pid == os.getpid():
        return "driver", size, shared
    for prefix, kind in (("ray::TrackerActor", "tracker"), ("ray::", "workers")):
        if name.startswith(prefix):
            return kind, size, shared
    return "Ray itself", size, shared


def measured(name: str, sources: list[str], output: Path, settings: ExtractSettings) -> float:
    with Memory() as memory:
        began = time.perf_counter()
        summary = run_extract(sources, str(output), settings, factory=Still)
        seconds = time.perf_counter() - began
    if summary.failures:
        raise SystemExit(f"{summary.failures} clips failed")
    kinds = ", ".join(f"{kind} {size:.0f}" for kind, size in memory.kinds.items())
    what = f"{name:<26} {summary.clips:>7,} clips {seconds:>7.1f} s"
    print(
        f"  {what} {memory.most:>6.0f} MB, {memory.store:.0f} of them store  ({kinds})", flush=True
    )
    return memory.most - memory.store


def alone(case: str, quick: bool, folder: Path) -> float:
    """One case in a process of its own: memory that one has taken is not the next one's."""
    command = [sys.executable, __file__, "--case", case, "--folder", str(folder)]
    done = subprocess.run(
        [*command, *(["--quick"] if quick else [])], stdout=subprocess.PIPE, text=True, check=True
    )
    *lines, figure = done.stdout.splitlines()
    print("\n".join(lines), flush=True)
    return float(figure)


def run_case(case: str, quick: bool, folder: Path) -> float:
    # Clips of 24 frames at 2 a second: 12 s each.
    clip = {"size": 32, "fps": 2}
    settings = settings_from_dict({"grid": 8, "num_actors": 1, "shard_clips": 16, "clip": clip})
    output = folder / f"out-{case}"
    if case in ("short", "long"):
        minutes = 6 if case == "short" else 30 if quick else 600
        path = folder / f"{case}.mp4"
        repeat_video(path, minutes, folder)
        return measured(f"one video of {minutes} min", [str(path)], output, settings)
    count = 50 if case != "many" else 100 if quick else 1000
    videos = folder / case
    videos.mkdir()
    repeat_video(folder / "first.mp4", 1, folder)
    for number in range(count):
        shutil.copyfile(folder / "first.mp4", videos / f"{number:05d}.mp4")
    sources = [str(path) for path in sorted(videos.iterdir())]
    if case != "slow":
        return measured(f"{count} videos of 1 min", sources, output, settings)
    with slow_storage():
        return measured(f"{count} videos, slow storage", sources, output, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small inputs")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case is not None:
        print(run_case(args.case, args.quick, args.folder))
        return
    print("largest memory of all processes of a run, by kind in brackets")
    for few, lots in (("short", "long"), ("few", "many"), ("few", "slow")):
        with tempfile.TemporaryDirectory(prefix="tapirus-memory-") as name:
            small = alone(few, args.quick, Path(name))
            large = alone(lots, args.quick, Path(name))
            print(f"  {lots} over {few}, without the store: {large / small:.2f}", flush=True)


if __name__ == "__main__":
    main()
