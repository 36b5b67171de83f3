"""A Ray cluster that goes away: what is decided, how long is waited, who hears of signals."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from pipelines.extract.errors import ClusterLostError
from pipelines.extract.supervise import TRIES, Ended, Next, Stop, Supervisor, decide, exit_code

# How children end.
RAYS_DOING = Ended(1, joined=True)
ABORTED = Ended(-signal.SIGABRT, joined=True)
SAYS_LOST = Ended(75, joined=True, lost=True)
NOT_JOINED = Ended(1, lost=True)
DONE = Ended(0, joined=True, committed=True, over=True)
FAILED = Ended(1, joined=True, over=True)
CRASHED = Ended(-signal.SIGSEGV, joined=True)
KILLED = Ended(-signal.SIGKILL, joined=True)
NO_PROGRAM = Ended(1, started=False)


@pytest.mark.parametrize(
    "ended, there, gone",
    [
        (RAYS_DOING, Next.AGAIN, Next.AGAIN),
        (replace(RAYS_DOING, code=0), Next.AGAIN, Next.AGAIN),
        (ABORTED, Next.AGAIN, Next.AGAIN),
        (SAYS_LOST, Next.AGAIN, Next.AGAIN),
        (CRASHED, Next.LEAVE, Next.AGAIN),
        (replace(CRASHED, code=3), Next.LEAVE, Next.AGAIN),
        (DONE, Next.LEAVE, Next.LEAVE),
        (FAILED, Next.LEAVE, Next.LEAVE),
        (replace(FAILED, joined=False), Next.LEAVE, Next.LEAVE),
        (KILLED, Next.LEAVE, Next.LEAVE),
        (replace(KILLED, code=-signal.SIGTERM), Next.LEAVE, Next.LEAVE),
        (NO_PROGRAM, Next.LEAVE, Next.LEAVE),
    ],
)
def test_what_is_done_about_an_end(ended: Ended, there: Next, gone: Next) -> None:
    for answering, wanted in ((True, there), (False, gone)):
        assert decide(ended, answering, False, True, 1) is wanted
        assert decide(ended, answering, False, False, 1) is Next.LEAVE  # never on a cluster
        assert decide(ended, answering, True, True, 1) is Next.LEAVE  # told to stop
        assert decide(ended, answering, False, True, TRIES - 1) is wanted
    if there is Next.AGAIN:
        assert decide(ended, True, False, True, TRIES) is Next.GIVE_UP
        assert decide(ended, False, False, True, TRIES) is Next.AGAIN


@pytest.mark.parametrize("ended, code", [(DONE, 0), (FAILED, 1), (KILLED, 137), (SAYS_LOST, 75)])
def test_exit_codes_are_those_of_the_child(ended: Ended, code: int) -> None:
    assert exit_code(ended) == code
    assert exit_code(replace(ended, code=0, over=False)) == 1  # it did not say that all is well


class World:
    """Children that end as they are told to, a cluster that answers at times, and a clock."""

    def __init__(
        self, *ends: Ended, back_at: float = 0.0, timeout: float | None = 1800.0, each: float = 60.0
    ) -> None:
        self.ends, self.back_at, self.each = list(ends), back_at, each
        self.now = 0.0
        self.down_for = 0.0  # seconds after each end of a child
        self.started: list[Ended | None] = []
        self.lines: list[str] = []
        self.probed: list[float] = []
        self.looked = 0
        self.signals: list[int] = []
        self.during: dict[int, int] = {}  # signals that come while the n-th child works
        self.at: dict[float, int] = {}  # and while nobody does
        self.stop = Stop()
        self.supervisor = Supervisor(
            "head:6379",
            timeout,
            self.start,
            self.lines.append,
            self.stop,
            self.look_on,
            self.answers,
            lambda: self.now,
            self.sleep,
        )

    def start(self, before: Ended | None) -> World:
        self.started.append(before)
        return self

    def wait(self) -> Ended:
        self.now += self.each
        if (number := self.during.get(len(self.started))) is not None:
            self.stop.told(number)
        self.back_at = max(self.back_at, self.now + self.down_for)
        return self.ends.pop(0)

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def look_on(self) -> None:
        self.looked += 1

    def answers(self, address: str) -> bool:
        assert address == "head:6379"
        self.probed.append(self.now)
        return self.now >= self.back_at

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for when in [when for when in self.at if when <= self.now]:
            self.stop.told(self.at.pop(when))


def test_a_lost_cluster_is_awaited_and_the_run_goes_on() -> None:
    world = World(ABORTED, DONE, back_at=200)
    assert world.supervisor.run() == 0
    assert world.started == [None, ABORTED]
    assert world.lines == [
        "the Ray cluster at head:6379 is gone; waiting for it, up to 30:00; what is committed is "
        "kept",
        "the Ray cluster at head:6379 answers: going on",
    ]
    pauses = [b - a for a, b in zip(world.probed, world.probed[1:], strict=False)][:-1]
    assert pauses[:5] == [1, 2, 4, 8, 10]
    assert set(pauses[5:]) == {10}
    assert 200 <= world.now - world.each <= 211
    assert world.looked > 10


def test_after_the_timeout_it_is_given_up() -> None:
    world = World(RAYS_DOING, back_at=1e9, timeout=300)
    with pytest.raises(ClusterLostError, match=r"did not come back within 5:00 .*what is comm"):
        world.supervisor.run()
    assert world.now == pytest.approx(world.each + 300)
    assert len(world.started) == 1


def test_without_a_timeout_it_is_awaited_for_ever() -> None:
    world = World(RAYS_DOING, DONE, back_at=1e6, timeout=None)
    assert world.supervisor.run() == 0
    assert world.lines[0].endswith("waiting for it; what is committed is kept")


def test_an_address_that_never_was_a_cluster_is_not_awaited() -> None:
    world = World(NOT_JOINED, back_at=1e9)
    assert (world.supervisor.run(), world.lines) == (1, [])


def test_a_cluster_that_takes_no_drivers_yet_is_tried_until_the_timeout() -> None:
    """A port that answers, with no Ray behind it: a head that is starting, a service's proxy."""
    world = World(SAYS_LOST, *[NOT_JOINED] * 100, DONE, each=1)
    assert world.supervisor.run() == 0
    assert len(world.lines) == 2  # said once
    assert world.now > 100 * 10  # not as fast as it can
    world = World(SAYS_LOST, *[NOT_JOINED] * 1000, timeout=100, each=1)
    with pytest.raises(ClusterLostError, match="did not come back"):
        world.supervisor.run()
    assert world.now == pytest.approx(101, abs=12)


def test_children_that_die_for_nothing_are_not_started_for_ever() -> None:
    world = World(*[ABORTED] * 100)
    with pytest.raises(ClusterLostError, match=rf"{TRIES} times in a row .*\(exit status -6"):
        world.supervisor.run()
    assert len(world.started) == TRIES
    # What gets ahead may be disturbed as often as it likes.
    useful = replace(ABORTED, committed=True)
    assert World(*[useful, ABORTED] * 50, DONE).supervisor.run() == 0
    # And a cluster that goes away every time is not the run's doing.
    flapping = World(*[ABORTED] * 20, DONE)
    flapping.down_for = 5.0
    assert flapping.supervisor.run() == 0


def test_errors_of_the_run_itself_end_it() -> None:
    world = World(FAILED, back_at=1e9)
    assert (world.supervisor.run(), world.lines) == (1, [])
    world = World(ABORTED, replace(FAILED, joined=False, code=2))
    assert world.supervisor.run() == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_to_the_child_once_and_its_exit_code_counts(number: int) -> None:
    world = World(Ended(130, joined=True, over=True))
    world.during[1] = number
    assert (world.supervisor.run(), world.signals) == (130, [number])
    world = World(replace(SAYS_LOST, code=75), back_at=1e9)  # the cluster went, too
    world.during[1] = number
    assert (world.supervisor.run(), world.signals) == (75, [number])
    assert world.lines == ["the Ray cluster at head:6379 is gone"]


def test_a_signal_while_the_child_is_started_reaches_it() -> None:
    world = World(Ended(130, over=True))
    world.stop.told(signal.SIGINT)
    assert (world.supervisor.run(), world.signals) == (130, [signal.SIGINT])


def test_a_signal_ends_the_wait() -> None:
    world = World(ABORTED, back_at=1e9)
    world.at[90.0] = signal.SIGTERM
    assert world.supervisor.run() == 128 + signal.SIGTERM
    assert world.now == pytest.approx(90, abs=1)
    world = World(ABORTED, back_at=1e9)
    world.at[90.0] = signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        world.supervisor.run()
    assert world.signals == []


def test_auto_is_the_cluster_that_the_child_found() -> None:
    world = World(replace(ABORTED, address="head:6379"), DONE, back_at=100)
    world.supervisor.address = "auto"
    assert world.supervisor.run() == 0
