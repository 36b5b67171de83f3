"""Every clip once in every epoch, in an order that its place alone decides."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.training.animation.order import ShuffledOrder

_GROUP = np.repeat(np.arange(13), [8, 8, 3, 8, 8, 1, 8, 8, 8, 5, 8, 8, 2])


@pytest.mark.parametrize("window", [1, 3, 100])
def test_an_epoch_holds_every_clip_once(window: int) -> None:
    order = ShuffledOrder(_GROUP, window, seed=4)
    assert len(order) == len(_GROUP) == 83
    for epoch in range(3):
        seen = [order.at(epoch * 83 + k) for k in range(83)]
        assert sorted(clip for clip, _ in seen) == list(range(83))
        assert {number for _, number in seen} == {epoch}


def test_epochs_and_seeds_differ_and_repeat() -> None:
    one, same, other = (ShuffledOrder(_GROUP, 3, seed) for seed in (4, 4, 5))
    assert one.epoch(7).tolist() == same.epoch(7).tolist()
    assert one.epoch(0).tolist() != one.epoch(1).tolist()
    assert one.epoch(0).tolist() != other.epoch(0).tolist()
    # Asked for again after others, as a resumed run does.
    first = one.epoch(0).tolist()
    for epoch in range(5):
        one.epoch(epoch)
    assert one.epoch(0).tolist() == first


def test_a_window_of_groups_is_all_that_a_reader_needs_at_a_time() -> None:
    order = ShuffledOrder(_GROUP, 3, seed=1).epoch(0)
    groups = _GROUP[order]
    opened = [int(np.flatnonzero(groups == g)[0]) for g in range(13)]
    closed = [int(np.flatnonzero(groups == g)[-1]) for g in range(13)]
    for place in range(len(order)):
        assert sum(a <= place <= b for a, b in zip(opened, closed, strict=True)) <= 3


def test_clips_of_a_window_are_mixed() -> None:
    groups = _GROUP[ShuffledOrder(_GROUP, 4, seed=1).epoch(0)]
    assert (np.diff(groups) == 0).mean() < 0.5


def test_no_clips_no_order() -> None:
    with pytest.raises(ValueError, match="no clips"):
        ShuffledOrder(np.array([], int), 3, 0)
