"""What an error means: whose fault it is, and whether another attempt may help. No Ray in here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Fault(Enum):
    """Who is to blame for a failed attempt."""

    INPUT = "input"  # the video itself: final, another attempt gives the same
    CLIP = "clip"  # an exception while working on the clip: counts as an attempt
    DEATH = "death"  # the process that worked on it is gone: counts for the clip it worked on
    LOSS = "loss"  # a machine, a connection or an object went away: nobody's attempt
    FATAL = "fatal"  # the environment: going on would record the same failure for every clip


# Errors by class name, most specific first where one derives from another. An exception that is
# not listed is the clip's own (CLIP): it is retried and then recorded, never swallowed.
FAULTS: dict[str, tuple[Fault, str]] = {
    # -- the process that ran the clip is gone
    "ActorDiedError": (Fault.DEATH, "the tracker's process ended for good, killed or crashed"),
    "ActorUnavailableError": (
        Fault.DEATH,
        "what calls get whose actor dies under them while Ray restarts it",
    ),
    "WorkerCrashedError": (Fault.DEATH, "a decoder's process ended: a crash inside libav"),
    "OutOfMemoryError": (Fault.DEATH, "Ray killed the process for its memory; a clip can be why"),
    # -- the machine or the data between machines is gone
    "NodeDiedError": (Fault.LOSS, "the machine went away with everything on it"),
    "ObjectLostError": (Fault.LOSS, "frames were on a machine that went away"),
    "ObjectFetchTimedOutError": (Fault.LOSS, "frames could not be moved in time"),
    "ObjectReconstructionFailedError": (Fault.LOSS, "lost frames could not be made again"),
    "OwnerDiedError": (Fault.LOSS, "the process that asked for the frames went away"),
    "ReferenceCountingAssertionError": (Fault.LOSS, "frames were released too early by Ray"),
    "LocalRayletDiedError": (Fault.LOSS, "the Ray daemon of a machine went away"),
    "RpcError": (Fault.LOSS, "a call between Ray processes was cut"),
    "NodePreemptedError": (Fault.LOSS, "the cloud took the machine back"),
    "ObjectStoreFullError": (Fault.LOSS, "the object store is full at the moment; it drains"),
    # -- no clip's fault, and no retry helps
    "OutOfDiskError": (Fault.FATAL, "Ray has no disk left to work on"),
    "RuntimeEnvSetupError": (Fault.FATAL, "workers cannot be started in this environment"),
    "RaySystemError": (Fault.FATAL, "Ray itself is broken"),
    "ActorUnschedulableError": (Fault.FATAL, "the cluster cannot hold a tracker"),
    "TaskUnschedulableError": (Fault.FATAL, "the cluster cannot hold a decoder"),
}
# Left out on purpose: TaskCancelledError (only a run that is stopping cancels tasks) and
# RayTaskError (a wrapper; the error inside decides).


@dataclass(frozen=True)
class Problem:
    """Why one attempt on one clip or video failed."""

    stage: str  # "open", "plan", "decode" or "track"
    error: str  # class name
    message: str  # one line
    fault: Fault


def fault_of(error: BaseException) -> Fault:
    """Who is to blame, by the class of the error and its bases."""
    for kind in type(error).__mro__:
        if kind.__name__ in FAULTS:
            return FAULTS[kind.__name__][0]
    return Fault.CLIP


def problem_of(error: BaseException, stage: str) -> Problem:
    """An exception as a value: class name, one-line message, fault.

    A crashed decoder reaches the tracker's call as the failure of its argument, so it is put down
    to the decode stage whatever `stage` says. An error with a `transient` attribute (VideoError)
    tells by itself whether another attempt may help, and by `stage` where it happened.
    """
    # Ray wraps what a task raised; the error inside decides.
    inner = getattr(error, "cause", None)
    if type(error).__name__.startswith("RayTaskError") and isinstance(inner, BaseException):
        error = inner
    names = [kind.__name__ for kind in type(error).__mro__]
    fault = fault_of(error)
    transient = getattr(error, "transient", None)
    if fault is Fault.CLIP and transient is not None:
        fault = Fault.CLIP if transient else Fault.INPUT
        stage = str(getattr(error, "stage", stage))
    if "WorkerCrashedError" in names and stage == "track":
        stage = "decode"
    name = next((known for known in names if known in FAULTS), names[0])
    return Problem(stage, name, one_line(error), fault)


def decoder_ended(problem: Problem, limit: float | None) -> Problem:
    """A decoder's death in words: Ray only says that a worker has gone."""
    if problem.stage != "decode" or problem.fault is not Fault.DEATH:
        return problem
    hang = "" if limit is None else f", or took longer than the {limit:g} s of --clip-timeout"
    return replace(problem, message=f"the decoder's process ended: the video crashes it{hang}")


def one_line(error: BaseException | str, limit: int = 500) -> str:
    """The message on one line, cut at `limit` characters."""
    text = getattr(error, "message", None) if isinstance(error, BaseException) else error
    text = " ".join((text if isinstance(text, str) else str(error)).split())
    text = text or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
