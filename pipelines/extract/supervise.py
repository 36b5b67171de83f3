"""Seeing an extraction through the loss of its Ray cluster: waiting for it, then starting again.

Ray ends the process of a driver whose cluster has gone, so nothing inside it could wait. The
command works in a child process therefore (`supervised`), and its parent, which knows nothing of
Ray, decides here what to do when the child has ended.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from pipelines.extract.cluster import answers
from pipelines.extract.errors import ClusterLostError
from pipelines.extract.progress import clock as readable

# Of children that joined the cluster and died without a commit, one after the other.
TRIES = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0  # seconds between two looks for the cluster
_SLICE = 0.25  # seconds until a signal is noticed
# Ray ends drivers with _exit or an abort.
_OF_RAY = (0, 1, -signal.SIGABRT)
# Somebody wanted the process gone: a person, the kernel for its memory, a machine shutting down.
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGQUIT)


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status, and what it had said until then."""

    code: int  # as subprocess gives it: negative for a signal
    started: bool = True  # its program came to work
    joined: bool = False  # it was on the cluster
    committed: bool = False  # at least one shard
    over: bool = False  # it ended by itself, well or not, and not for its cluster
    lost: bool = False  # it ended by itself: the cluster has gone, or could not be joined
    address: str = ""  # of the cluster that it joined
    held: tuple[float, float] = (0.0, 0.0)  # CPUs and GPUs of it


class Next(Enum):
    """What to do when a child has ended."""

    LEAVE = "leave"  # its end is that of the command
    AGAIN = "again"  # start it again once the cluster answers
    GIVE_UP = "give up"  # it dies time and again, and the cluster is there


def decide(ended: Ended, answering: bool, stopping: bool, was_joined: bool, futile: int) -> Next:
    """What to do about a child that has ended.

    answering: whether the cluster's address answers now. stopping: whether this command was told to
    stop. was_joined: whether this child or one before it was on the cluster; one that never was
    has a wrong address, most likely. futile: how many in a row joined it and committed nothing.

    A child that ends without a word was ended by somebody else. That it was Ray shows in its exit
    status, and in a cluster that does not answer; either will do, since a cluster may be back
    before Ray gives up on it.
    """
    if stopping or ended.over or not ended.started or not was_joined:
        return Next.LEAVE
    if not ended.lost:
        if ended.code in _FROM_OUTSIDE:
            return Next.LEAVE
        if answering and ended.code not in _OF_RAY:
            return Next.LEAVE  # a crash of its own
    return Next.GIVE_UP if answering and futile >= TRIES else Next.AGAIN


def exit_code(ended: Ended) -> int:
    """The exit code of a command whose child ended so: as a shell shows it, and 0 if it says so."""
    if ended.code == 0 and not ended.over:
        return 1
    return ended.code if ended.code >= 0 else 128 - ended.code


class Child(Protocol):
    """The command in a process of its own."""

    def wait(self) -> Ended:
        """Waits for its end."""

    def signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""


@dataclass
class Stop:
    """Passes on to the child what this process is told. `told` is a handler of signals."""

    asked: int | None = None  # the last signal
    child: Child | None = None

    def told(self, number: int, frame: object = None) -> None:
        """Remembers the signal and sends it to the child that is there."""
        self.asked = number
        if self.child is not None:
            self.child.signal(number)

    def watch(self, child: Child | None) -> None:
        """From now on signals go to this child; the one that came while it was started, too."""
        before, self.child = self.asked, child
        if child is not None and before is not None:
            child.signal(before)


@dataclass
class _Loss:
    """A cluster that is gone: since when, how long to pause before the next look, what was said."""

    since: float
    pause: float = _FIRST_PAUSE
    hope: bool = False  # that it answers again


@dataclass
class Supervisor:
    """Runs children one after the other until one of them is the last.

    start: makes a child; given how the one before it ended, None for the first. say: prints a line.
    look_on: called about every ten seconds while the cluster is awaited.
    """

    address: str
    timeout: float | None  # seconds to wait for a cluster; None: for ever
    start: Callable[[Ended | None], Child]
    say: Callable[[str], None]
    stop: Stop = field(default_factory=Stop)
    look_on: Callable[[], None] = lambda: None
    answers: Callable[[str], bool] = answers
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> int:
        """Returns the command's exit code.

        Raises ClusterLostError when the cluster does not come back, or is there and the children
        die all the same; KeyboardInterrupt for a Ctrl-C while it is awaited.
        """
        last: Ended | None = None
        loss: _Loss | None = None
        futile = 0
        while True:
            child = self.start(last)
            self.stop.watch(child)
            ended = child.wait()
            self.stop.watch(None)
            if ended.address and self.address == "auto":
                self.address = ended.address  # what "auto" meant
            if ended.joined:
                loss, last = None, ended
                futile = 0 if ended.committed else futile + 1
            answering = self.answers(self.address) if self.address != "auto" else False
            stopping = self.stop.asked is not None
            match decide(ended, answering, stopping, last is not None, futile):
                case Next.LEAVE:
                    if ended.lost and ended.joined:  # while it was told to stop
                        self.say(f"the Ray cluster at {self.address} is gone")
                    return exit_code(ended)
                case Next.GIVE_UP:
                    raise ClusterLostError(
                        f"the run ended {futile} times in a row without committing anything, "
                        f"though the Ray cluster at {self.address} answers (exit status "
                        f"{ended.code}): see the messages above, and Ray's logs on its head"
                    )
            if loss is None:
                loss = _Loss(self.clock())
                limit = "" if self.timeout is None else f", up to {readable(self.timeout)}"
                self.say(
                    f"the Ray cluster at {self.address} is gone; waiting for it{limit}; what is "
                    "committed is kept"
                )
            code = self._wait(loss)
            if code is not None:
                return code

    def _wait(self, loss: _Loss) -> int | None:
        """Waits until the cluster answers; an exit code when a signal ends that."""
        end = math.inf if self.timeout is None else loss.since + self.timeout
        while self.clock() < end:
            self.look_on()
            self._pause(min(loss.pause, end - self.clock()))
            if self.stop.asked == signal.SIGINT:
                raise KeyboardInterrupt
            if self.stop.asked is not None:
                return 128 + self.stop.asked
            loss.pause = min(2 * loss.pause, _LONGEST_PAUSE)
            if self.answers(self.address):
                if not loss.hope:
                    self.say(f"the Ray cluster at {self.address} answers: going on")
                loss.hope = True
                return None
        raise ClusterLostError(
            f"the Ray cluster at {self.address} did not come back within "
            f"{readable(self.clock() - loss.since)} (--cluster-timeout): start it and run the same "
            "command again, what is committed is kept"
        )

    def _pause(self, seconds: float) -> None:
        end = self.clock() + seconds
        while self.stop.asked is None and (left := end - self.clock()) > 0:
            self.sleep(min(left, _SLICE))
