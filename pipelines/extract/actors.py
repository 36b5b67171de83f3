"""What runs on Ray's workers: planning a video, decoding a clip, and the actor that tracks.

Plain functions and a plain class; `pool` turns them into Ray tasks and actors. Errors of one video
or clip come back as values, so that they cost nobody else anything.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models import grid_queries
from pipelines.extract.accounting import waited
from pipelines.extract.diary import Diary, LastWork, diary_folder, time_limit
from pipelines.extract.planning import PlannedSource, failed_source, pack_source
from pipelines.extract.retry import Fault, Problem, problem_of
from pipelines.video import ClipReader, ClipSettings, ClipSpec, plan_clips
from trajectories import ClipTracks, EncodedClip, encode_clip

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8


class Tracked(Protocol):
    """What a tracker returns for N query points over T frames; see `models.TrackResult`."""

    @property
    def tracks(self) -> Float[np.ndarray, "n t 2"]: ...
    @property
    def visible(self) -> Bool[np.ndarray, "n t"]: ...
    @property
    def uncertainty(self) -> Float[np.ndarray, "n t"]: ...  # logits


class TrackerLike(Protocol):
    """Anything that follows query points: `models.load_tracker` gives one.

    An attribute `weights_digest`, where there is one, is recorded with the dataset.
    """

    def track(
        self, video: UInt8[np.ndarray, "t h w 3"], queries: Float[np.ndarray, "n 3"]
    ) -> Tracked: ...


TrackerFactory = Callable[[], TrackerLike]


@dataclass(frozen=True)
class QueryGrid:
    """Query points of a clip: `side` x `side` centres of equal cells on one frame."""

    side: int
    frame: str  # "first" or "middle"

    def points(self, frames: int, height: int, width: int) -> Float[np.ndarray, "n 3"]:
        """float32 [side * side, 3] of (t, y, x), row by row."""
        t = 0.0 if self.frame == "first" else float(frames // 2)
        return grid_queries(height, width, self.side, self.side, t)


@dataclass(frozen=True)
class Decoded:
    """Frames of a clip, or why there are none."""

    frames: UInt8[np.ndarray, "t h w 3"] | None
    problem: Problem | None
    seconds: float
    ended: float = 0.0  # time.time() of this machine


@dataclass(frozen=True)
class BatchResult:
    """What a tracker made of a batch: one entry per clip, and where the time went."""

    clips: tuple[EncodedClip | Problem, ...]
    decode_seconds: float
    track_seconds: float
    encode_seconds: float
    started: float  # time.time() of this machine
    ended: float
    waits: Mapping[str, float] = field(default_factory=dict)  # see accounting.WAITS


@dataclass(frozen=True)
class ActorInfo:
    """What an actor says of itself when it is ready."""

    node: str
    pid: int
    weights_digest: str
    last_work: LastWork  # what the actor's process before this one died at


def plan_source(
    source: str, settings: ClipSettings, limit: float | None = None
) -> PlannedSource | Problem:
    """Cuts one video into clips. A problem that may pass (a file store's) comes back as such.

    limit: seconds until the process is ended; likewise in `decode_clips`.
    """
    start = time.perf_counter()
    try:
        with time_limit(limit):
            plan = plan_clips(source, settings)
    except Exception as error:
        problem = problem_of(error, "plan")
        if problem.fault is not Fault.INPUT:
            return problem
        return failed_source(source, problem.stage, problem.error, problem.message, 1)
    return pack_source(plan, time.perf_counter() - start)


def decode_clips(specs: Sequence[ClipSpec], limit: float | None = None) -> tuple[Decoded, ...]:
    """Reads the frames of a batch, clip by clip. limit: seconds for each of them."""
    with ClipReader() as reader:
        return tuple(_decode(reader, spec, limit) for spec in specs)


def _decode(reader: ClipReader, spec: ClipSpec, limit: float | None) -> Decoded:
    start = time.perf_counter()
    try:
        with time_limit(limit):
            frames = reader.read(spec)
        return Decoded(frames, None, time.perf_counter() - start, time.time())
    except Exception as error:
        seconds = time.perf_counter() - start
        return Decoded(None, problem_of(error, "decode"), seconds, time.time())


class TrackerActor:
    """Holds a tracker and works on batches of decoded clips, one at a time."""

    def __init__(
        self,
        name: str,
        factory: bytes,
        grid: QueryGrid,
        threads: int,
        clip_timeout: float | None = None,
    ) -> None:
        """name: of the actor. factory: a pickled TrackerFactory. threads: torch threads to use.

        clip_timeout: seconds of tracking one clip after which this process ends itself.
        """
        import ray

        self._diary = Diary(name, diary_folder(ray.get_runtime_context().get_session_name()))
        self._clip_timeout = clip_timeout
        # Ray sets this to the actor's CPUs in its books, which are fewer than it may use. It is
        # read when torch is imported, by the factory.
        os.environ["OMP_NUM_THREADS"] = str(threads)
        self._tracker: TrackerLike = ray.cloudpickle.loads(factory)()
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        self._grid = grid
        self._free_since: float | None = None
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="tapirus-encode")

    def ready(self) -> ActorInfo:
        """Returns once the tracker is loaded."""
        import ray

        return ActorInfo(
            node=ray.get_runtime_context().get_node_id(),
            pid=os.getpid(),
            weights_digest=str(getattr(self._tracker, "weights_digest", "")),
            last_work=self._diary.before,
        )

    def track(
        self, keys: Sequence[str], specs: Sequence[ClipSpec], decoded: Sequence[Decoded]
    ) -> BatchResult:
        """Tracks each clip. A clip's exception becomes its result; the others are not touched.

        keys: one per clip, what `ready` tells after the clip has killed this process.
        """
        started = time.time()
        decoding = [(item.ended - item.seconds, item.ended) for item in decoded]
        waits = waited(self._free_since, started, decoding)
        clips: list[Problem | Future[tuple[EncodedClip, float]]] = []
        track_seconds = 0.0
        for key, spec, item in zip(keys, specs, decoded, strict=True):
            if item.frames is None:
                assert item.problem is not None
                clips.append(item.problem)
                continue
            start = time.perf_counter()
            try:
                with self._diary.working_on(key, self._clip_timeout):
                    queries, result = self._run(item.frames)
                # Beside the next clip's tracking: it would keep a GPU waiting.
                clips.append(self._encoder.submit(_encode, spec, queries, result))
            except Exception as error:
                _leave_if_broken(error)
                clips.append(problem_of(error, "track"))
            track_seconds += time.perf_counter() - start
        tracked = time.time()
        done, encode_seconds = _collect(clips)
        self._free_since = time.time()
        waits["encode"] = self._free_since - tracked
        return BatchResult(
            done,
            sum(item.seconds for item in decoded),
            track_seconds,
            encode_seconds,
            started,
            self._free_since,
            waits,
        )

    def _run(
        self, frames: UInt8[np.ndarray, "t h w 3"]
    ) -> tuple[Float[np.ndarray, "n 3"], Tracked]:
        queries = self._grid.points(*frames.shape[:3])
        return queries, self._tracker.track(frames, queries)


def _collect(
    clips: Sequence[Problem | Future[tuple[EncodedClip, float]]],
) -> tuple[tuple[EncodedClip | Problem, ...], float]:
    done: list[EncodedClip | Problem] = []
    seconds = 0.0
    for clip in clips:
        if isinstance(clip, Problem):
            done.append(clip)
            continue
        try:
            encoded, spent = clip.result()
            seconds += spent
            done.append(encoded)
        except Exception as error:  # tracks that are not finite, say
            done.append(problem_of(error, "track"))
    return tuple(done), seconds


def _encode(
    spec: ClipSpec, queries: Float[np.ndarray, "n 3"], result: Tracked
) -> tuple[EncodedClip, float]:
    start = time.perf_counter()
    return encode_result(spec, queries, result), time.perf_counter() - start


def encode_result(
    spec: ClipSpec, queries: Float[np.ndarray, "n 3"], result: Tracked
) -> EncodedClip:
    """What a dataset keeps of a tracker's result. Raises ValueError for tracks that are not finite.

    The tracker gives logits of uncertainty, the dataset holds probabilities.
    """
    logits = np.asarray(result.uncertainty, dtype=np.float32)
    probability = 0.5 * (1.0 + np.tanh(0.5 * logits))
    tracks = ClipTracks(
        spec.info,
        queries,
        np.asarray(result.tracks, dtype=np.float32),
        np.asarray(result.visible, dtype=bool),
        probability,
    )
    return encode_clip(tracks)


def _leave_if_broken(error: BaseException) -> None:
    """Ends the process after an error that leaves its CUDA context unusable.

    Every later clip would fail in it; a new process starts clean, and the clip that did it is
    counted as with any other death. Running out of memory leaves the context sound.
    """
    text = f"{type(error).__name__}: {error}"
    if ("CUDA error" in text or "AcceleratorError" in text) and "out of memory" not in text:
        os._exit(70)
