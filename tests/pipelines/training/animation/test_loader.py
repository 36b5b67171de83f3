"""Every clip once an epoch for any number of readers and ranks, and going on at any step."""

from __future__ import annotations

import dataclasses
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.training.animation.augment import Change
from pipelines.training.animation.config import AugmentConfig
from pipelines.training.animation.data_config import DataConfig
from pipelines.training.animation.index import select_clips
from pipelines.training.animation.loader import (
    Batch,
    ClipReader,
    batches,
    first_frame,
    frame_with_neighbours,
)
from pipelines.training.ranks import Ranks
from tests.pipelines.training.animation.animation_makers import (
    FRAMES,
    SHAPE,
    SIZE,
    fill_store,
    many_clips,
    picture,
    write_clips,
)

_STILL = AugmentConfig(0, 0, 0, 0, 0)
_CLIPS = 30  # not a multiple of the batch sizes below


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> ClipReader:
    folder = tmp_path_factory.mktemp("loader")
    clips = many_clips(sources=6, clips=5)
    dataset = write_clips(folder / "tracks", clips)
    index = select_clips(dataset, DataConfig(where="true", validation_fraction=0)).train
    return ClipReader(dataset, index, fill_store(folder / "frames", clips), SHAPE, groups=2)


def drawn(reader: ClipReader, steps: int = 20, first_step: int = 0, **changes: Any) -> list[Batch]:
    values = {"batch_size": 6, "seed": 3, "augment": _STILL, "pick": first_frame, **changes}
    pick, augment = values.pop("pick"), values.pop("augment")
    return list(batches(reader, pick, augment, first_step=first_step, steps=steps, **values))


def velocities(found: list[Batch]) -> list[tuple[float, float]]:
    """What tells the clips apart, in order."""
    motion = [(b.tracks[:, 1] - b.tracks[:, 0])[..., 0, 0] for b in found]
    return [tuple(v) for v in torch.cat(motion).tolist()]  # type: ignore[misc]


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b)
        for p, q in zip(one, other, strict=True)
        for a, b in zip(fields(p), fields(q), strict=True)
    )


def fields(batch: Batch) -> list[torch.Tensor]:
    return [batch.frames, batch.times, batch.tracks, batch.visible]


def test_shapes_and_types(reader: ClipReader) -> None:
    (batch,) = drawn(reader, 1, pick=frame_with_neighbours)
    assert batch.frames.shape == (6, 4, SIZE, SIZE, 3)
    assert batch.frames.dtype == torch.uint8
    assert batch.times.shape == (6, 4)
    assert batch.tracks.shape == (6, FRAMES, 2, 4, 4)
    assert batch.tracks.dtype == torch.float32
    assert batch.visible.shape == (6, FRAMES, 4, 4)
    assert batch.visible.dtype == torch.bool


@pytest.mark.parametrize("readers", [0, 1, 2])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_each_clip_once_an_epoch(reader: ClipReader, readers: int, world: int) -> None:
    steps = 10  # two epochs of 30 clips in batches of 6
    parts = [
        drawn(reader, steps, readers=readers, ranks=Ranks(rank, world)) for rank in range(world)
    ]
    # The batch of a step, put together from its ranks, is the one that a single process gets.
    together = [
        Batch(*(torch.cat(p) for p in zip(*map(fields, step), strict=True)))
        for step in zip(*parts, strict=True)
    ]
    assert same(together, drawn(reader, steps))
    seen = velocities(together)
    for epoch in (seen[:_CLIPS], seen[_CLIPS:]):
        assert Counter(epoch) == Counter(set(epoch))
        assert len(set(epoch)) == _CLIPS
    assert seen[:_CLIPS] != seen[_CLIPS:]


def test_epochs_need_not_be_whole_batches(reader: ClipReader) -> None:
    seen = velocities(drawn(reader, 15, batch_size=4))
    assert len(seen) == 2 * _CLIPS
    assert len(set(seen[:_CLIPS])) == len(set(seen[_CLIPS:])) == _CLIPS


@pytest.mark.parametrize("first_step", [1, 4, 5, 7, 10, 12])
def test_a_run_that_goes_on_sees_what_it_would_have_seen(
    reader: ClipReader, first_step: int
) -> None:
    settings: dict[str, Any] = {"pick": frame_with_neighbours, "augment": AugmentConfig()}
    whole = drawn(reader, 10, **settings)
    rest = drawn(reader, 10, first_step, readers=first_step % 2, **settings)
    assert same(rest, whole[first_step:])


def test_changes_differ_from_epoch_to_epoch(reader: ClipReader) -> None:
    found = drawn(reader, 10, augment=AugmentConfig())
    pictures = torch.cat([b.frames for b in found]).flatten(1)
    assert len(torch.unique(pictures, dim=0)) == 2 * _CLIPS


def test_frames_belong_to_the_tracks(reader: ClipReader) -> None:
    for batch in drawn(reader, 2, pick=frame_with_neighbours):
        for frames, times, velocity in zip(
            batch.frames.numpy(), batch.times.tolist(), velocities([batch]), strict=True
        ):
            first, before, now, after = times
            assert (first, before) == (0, now - 1)
            assert 1 <= now < FRAMES
            assert after == min(now + 1, FRAMES - 1)
            for t, frame in zip(times, frames, strict=True):
                error = frame.mean(axis=-1) - picture(velocity, t).mean(axis=-1)
                assert np.abs(error).mean() < 2


def test_memory_holds_a_window_of_row_groups(reader: ClipReader) -> None:
    fresh = ClipReader(reader.dataset, reader.index, reader.store, SHAPE, groups=2)
    drawn(fresh, 5)
    assert fresh._group is not None
    assert fresh._group.cache_info().currsize <= 2  # type: ignore[attr-defined]


def test_a_reader_travels_to_other_processes(reader: ClipReader) -> None:
    reader.example(0)
    copy = pickle.loads(pickle.dumps(reader))
    one, other = reader.example(3), copy.example(3, change=Change(flip=True))
    assert one.info == other.info
    assert one.times == tuple(range(FRAMES))
    np.testing.assert_array_equal(one.frames, other.frames[:, :, ::-1])


def test_what_follows_from_the_seed(reader: ClipReader) -> None:
    assert not same(drawn(reader, 2), drawn(reader, 2, seed=4))
    with pytest.raises(ValueError, match="multiple of the 4 ranks"):
        drawn(reader, 2, ranks=Ranks(0, 4))


def test_a_run_that_is_done_has_no_more_batches(reader: ClipReader) -> None:
    assert drawn(reader, 4, 4) == drawn(reader, 4, 9) == []


def test_fields_of_a_batch_move_together(reader: ClipReader) -> None:
    (batch,) = drawn(reader, 1)
    moved = batch.to(torch.device("cpu"))
    assert dataclasses.fields(moved) == dataclasses.fields(batch)
    assert same([moved], [batch])
