"""The bounded window of clips in flight: what runs next, where, and what a result means.

Pure decisions, no Ray: the coordinator asks `assign` what to send to which actor and reports back
with `settle` or `lose`. Every clip is settled exactly once, done or failed, whatever order results,
errors and deaths come in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipelines.extract.retry import Fault, Problem


@dataclass(frozen=True)
class Clip:
    """One clip on its way: its shard, its place in it and what happened to it so far."""

    shard: str
    index: int
    attempts: int = 0  # failures that count
    losses: int = 0  # failures that do not
    alone: bool = False  # under suspicion: not to be put in one batch with others


@dataclass(frozen=True)
class Assignment:
    """A batch that is to be sent to an actor now."""

    batch: int
    actor: int
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class Settled:
    """A clip that is finished: tracked (no problem) or given up after `attempts`."""

    clip: Clip
    problem: Problem | None
    attempts: int


@dataclass
class _Actor:
    up: bool = False
    queue: set[int] = field(default_factory=set)  # batches in flight
    # Batches that were in flight when it died: judged when it is back and can say what it was at.
    limbo: list[tuple[Assignment, Problem]] = field(default_factory=list)


class Window:
    """Clips waiting, clips in flight, shards open.

    actors: how many there are, numbered from 0; all are down until `actor_up`.
    in_flight: batches per actor at most, batch_clips: clips per batch at most; both may be changed
    at any time. max_attempts: counted failures until a clip is given up.
    max_losses: uncounted ones (machines that went away), so that nothing is retried for ever.
    """

    def __init__(
        self,
        actors: int,
        in_flight: int,
        batch_clips: int,
        max_attempts: int,
        max_losses: int = 50,
    ) -> None:
        self._actors = [_Actor() for _ in range(actors)]
        self.in_flight = in_flight
        self.batch_clips = batch_clips
        self._max_attempts = max_attempts
        self._max_losses = max_losses
        self._fresh: deque[Clip] = deque()
        self._again: deque[Clip] = deque()  # retries go first, so that their shards can close
        self._sent: dict[int, Assignment] = {}
        self._open: dict[str, int] = {}  # clips of a shard that are not settled
        self._next_batch = 0

    # -- what the coordinator asks

    @property
    def idle(self) -> bool:
        """No clip waits or is in flight."""
        limbo = any(actor.limbo for actor in self._actors)
        return not (self._fresh or self._again or self._sent or limbo)

    @property
    def wants_clips(self) -> bool:
        """Whether more shards should be opened: the queue would run dry within one round."""
        room = len(self._actors) * self.in_flight * self.batch_clips
        return len(self._fresh) + len(self._again) < room

    def assign(self) -> Assignment | None:
        """The next batch to send, to the actor with the shortest queue; None: nothing can go."""
        if not (self._fresh or self._again):
            return None
        free = [
            (len(actor.queue), number)
            for number, actor in enumerate(self._actors)
            if actor.up and len(actor.queue) < self.in_flight
        ]
        if not free:
            return None
        _, number = min(free)
        assignment = Assignment(self._next_batch, number, self._take())
        self._next_batch += 1
        self._sent[assignment.batch] = assignment
        self._actors[number].queue.add(assignment.batch)
        return assignment

    def queues(self) -> dict[str, int]:
        """How many clips wait to be sent, and how many are with the trackers."""
        sent = sum(len(assignment.clips) for assignment in self._sent.values())
        return {"clips": len(self._fresh) + len(self._again), "sent": sent}

    def actor_is_up(self, number: int) -> bool:
        """Whether batches go to this actor."""
        return self._actors[number].up

    def in_limbo(self, number: int) -> int:
        """Clips that wait for this actor to come back and tell what it was working on."""
        return sum(len(sent.clips) for sent, _ in self._actors[number].limbo)

    def clips_of(self, batch: int) -> tuple[Clip, ...]:
        """The clips of a batch in flight."""
        return self._sent[batch].clips

    # -- what the coordinator tells

    def add_shard(self, shard: str, clips: int) -> None:
        """Opens a shard of at least one clip."""
        if clips < 1 or shard in self._open:
            raise ValueError(f"shard {shard}: {clips} clips, or opened twice")
        self._open[shard] = clips
        self._fresh.extend(Clip(shard, index) for index in range(clips))

    def actor_up(
        self,
        number: int,
        blamed: tuple[int, int] | None = None,
        reason: Problem | None = None,
    ) -> list[Settled]:
        """The actor takes calls from now on.

        blamed: batch and position in it of the clip that the actor's last process was working on
        when it died, if that is known. Only that clip's attempt counts; all others that were in
        flight go back without a mark. reason: why it died, where more is known than that it did.
        Returns the clips that are finished by it.
        """
        actor = self._actors[number]
        actor.up = True
        limbo, actor.limbo = actor.limbo, []
        settled = []
        # Reversed: each is put in front of the queue, and their order stays.
        for assignment, problem in reversed(limbo):
            for position, clip in reversed(list(enumerate(assignment.clips))):
                guilty = blamed == (assignment.batch, position)
                if guilty:
                    settled += self._judge(clip, replace(reason or problem, fault=Fault.DEATH))
                else:
                    settled += self._judge(clip, replace(problem, fault=Fault.LOSS))
        return self._count(settled)

    def actor_down(self, number: int) -> None:
        """The actor takes no calls until `actor_up`."""
        self._actors[number].up = False

    def settle(self, batch: int, problems: Sequence[Problem | None]) -> list[Settled]:
        """The batch came back with one entry per clip; None means tracked.

        Returns the clips that are finished by it; the others go back into the queue.
        """
        assignment = self._pop(batch)
        if len(problems) != len(assignment.clips):
            raise ValueError(
                f"batch {batch}: {len(problems)} results, {len(assignment.clips)} clips"
            )
        settled = []
        for clip, problem in zip(assignment.clips, problems, strict=True):
            if problem is None:
                settled.append(Settled(clip, None, clip.attempts + 1))
            else:
                settled += self._judge(clip, problem)
        return self._count(settled)

    def lose(self, batch: int, problem: Problem) -> list[Settled]:
        """The whole batch failed with one error.

        When its actor died, nothing is decided before the actor is back (see `actor_up`). When its
        decoder died, every clip of the batch may be the reason, and each is retried alone.
        """
        assignment = self._pop(batch)
        if problem.fault is Fault.DEATH and problem.stage == "track":
            actor = self._actors[assignment.actor]
            actor.up = False
            actor.limbo.append((assignment, problem))
            return []
        settled = []
        for clip in reversed(assignment.clips):
            settled += self._judge(clip, problem)
        return self._count(settled)

    def closed(self) -> list[str]:
        """Shards whose last clip has been settled since the last call."""
        done = [shard for shard, left in self._open.items() if left == 0]
        for shard in done:
            del self._open[shard]
        return done

    # -- inside

    def _take(self) -> tuple[Clip, ...]:
        queue = self._again or self._fresh
        if queue[0].alone:
            return (queue.popleft(),)
        clips: list[Clip] = []
        while len(clips) < self.batch_clips:
            queue = self._again or self._fresh
            if not queue or queue[0].alone:
                break
            clips.append(queue.popleft())
        return tuple(clips)

    def _pop(self, batch: int) -> Assignment:
        assignment = self._sent.pop(batch)
        self._actors[assignment.actor].queue.remove(batch)
        return assignment

    def _judge(self, clip: Clip, problem: Problem) -> list[Settled]:
        if problem.fault is Fault.LOSS:
            clip = replace(clip, losses=clip.losses + 1)
            final = clip.losses >= self._max_losses
        else:
            clip = replace(clip, attempts=clip.attempts + 1, alone=True)
            final = problem.fault is Fault.INPUT or clip.attempts >= self._max_attempts
        if final:
            return [Settled(clip, problem, max(clip.attempts, 1))]
        self._again.appendleft(clip)
        return []

    def _count(self, settled: list[Settled]) -> list[Settled]:
        for item in settled:
            self._open[item.clip.shard] -= 1
        return settled
