"""Batches depend on the seed and the step, on nothing else."""

from __future__ import annotations

import pytest
import torch

from pipelines.synthetic import make_clip
from pipelines.training.config import MAX_SEED, TrainConfig
from pipelines.training.data import VALIDATION_SEED, Batch, batches
from tests.pipelines.training.training_makers import textures, tiny_config


def drawn(first_step: int, steps: int, **changes: int) -> list[Batch]:
    values = {"batch_size": 2, "seed": 3, "steps": steps, **changes}
    workers = values.pop("workers", 0)
    stream = batches(tiny_config(**values), textures(), first_step=first_step, workers=workers)
    return [batch for batch in stream if isinstance(batch, Batch)]


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(fields(one), fields(other), strict=True))


def fields(batch: Batch) -> list[torch.Tensor]:
    return [batch.video, batch.queries, batch.tracks, batch.occluded]


def test_shapes_and_types() -> None:
    (batch,) = drawn(0, 1)
    assert batch.video.shape == (2, 4, 32, 32, 3)
    assert batch.queries.shape == (2, 4, 3)
    assert batch.tracks.shape == (2, 4, 4, 2)
    assert batch.occluded.shape == (2, 4, 4)
    assert batch.video.dtype == torch.uint8
    assert batch.occluded.dtype == torch.bool
    assert batch.queries.dtype == batch.tracks.dtype == torch.float32


def test_a_run_that_starts_later_sees_what_it_would_have_seen() -> None:
    whole = drawn(0, 4)
    rest = drawn(2, 4)
    assert len(whole) == 4
    assert len(rest) == 2
    assert same(rest[0], whole[2])
    assert same(rest[1], whole[3])
    assert not same(whole[0], whole[1])


def test_clips_are_numbered_through_steps_and_batch() -> None:
    batch = drawn(2, 3)[0]
    for row in range(2):
        clip = make_clip(3 * 100_000_000 + 2 * 2 + row, tiny_config().clips(), textures())
        assert torch.equal(batch.video[row], torch.from_numpy(clip.video))
        assert torch.equal(batch.tracks[row], torch.from_numpy(clip.tracks))


def test_clips_are_mirrored_and_reversed_by_their_number() -> None:
    plain = drawn(0, 6)
    changed = drawn(0, 6, flip=True, reverse=True)
    again = drawn(3, 6, flip=True, reverse=True)
    assert all(same(*pair) for pair in zip(changed[3:], again, strict=True))
    kinds = set()
    for before, after in zip(plain, changed, strict=True):
        for row in range(2):
            for axes in ((), (2,), (0,), (0, 2)):  # of time and of columns
                if torch.equal(after.video[row], before.video[row].flip(axes)):
                    kinds.add(axes)
    assert len(kinds) >= 3


def test_worker_processes_change_nothing() -> None:
    alone, helped = drawn(0, 2), drawn(0, 2, workers=1)
    assert all(same(*pair) for pair in zip(alone, helped, strict=True))


def test_other_seeds_give_other_clips() -> None:
    assert not same(drawn(0, 1, seed=1)[0], drawn(0, 1, seed=2)[0])


@pytest.mark.parametrize("first_step", [4, 9])
def test_a_run_that_is_done_has_no_more_batches(first_step: int) -> None:
    assert drawn(first_step, 4) == []


def test_no_seed_reaches_the_validation_clips() -> None:
    longest = TrainConfig(seed=MAX_SEED - 1, steps=100_000_000, batch_size=1, model="tiny")
    last = longest.seed * 100_000_000 + longest.steps * longest.batch_size - 1
    assert last < VALIDATION_SEED
