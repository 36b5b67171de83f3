"""A teacher's word as truth, with a teacher that moves every point by a formula."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from models.tapir import Estimate
from models.tapir.losses import LossConfig, sequence_loss
from pipelines.training.config import SelfTraining
from pipelines.training.data import Batch, ViewBatch, is_real_step
from pipelines.training.objective import step_losses
from pipelines.training.teacher import cycle_share, pseudo_truth

_T, _SIDE, _STUDENT = 6, 128, 64
_CONFIG = SelfTraining(clean_size=_SIDE, confidence=0.8, cycle_px=4.0)
_SURE = 8.0  # logit


class Drift:
    """All points move by (3, -2) a frame; asked at a point it says just that.

    Points whose first coordinate is above `lost_at` are answered `error` pixels off when asked a
    second time. `occlusion` and `uncertainty` are logits by frame.
    """

    def __init__(self, *, error: float = 0.0) -> None:
        self.occlusion = torch.full((_T,), -_SURE)
        self.uncertainty = torch.full((_T,), -_SURE)
        self.error = error
        self.asked: list[torch.Tensor] = []

    def __call__(self, video: torch.Tensor, queries: torch.Tensor) -> Estimate:
        assert video.shape[1:4] == (_T, _SIDE, _SIDE)
        self.asked.append(queries)
        since = torch.arange(_T) - queries[..., :1]
        motion = torch.tensor([3.0, -2.0])
        tracks = queries[..., None, [2, 1]] + since[..., None] * motion
        if len(self.asked) == 2:
            tracks = tracks + torch.tensor([self.error, 0.0])
        shape = tracks.shape[:3]
        return Estimate(tracks, self.occlusion.expand(shape), self.uncertainty.expand(shape))


def views(backwards: bool = False, zoom: float = 0.5, **changes: object) -> ViewBatch:
    """Two clips; the student sees them half as large, unless it sees more or less."""
    affine = torch.zeros(2, _T, 2, 3)
    affine[..., 0, 0] = affine[..., 1, 1] = zoom
    fields = {
        "clean": torch.zeros(2, _T, _SIDE, _SIDE, 3, dtype=torch.uint8),
        "student": torch.zeros(2, _T, _STUDENT, _STUDENT, 3, dtype=torch.uint8),
        "affine": affine,
        "backwards": torch.tensor([backwards, backwards]),
        "asked": torch.tensor([[[1.0, 60, 50], [4.0, 80, 30]]] * 2),
        "pick": torch.tensor([[0.0, 0.99], [0.5, 0.2]]),
        **changes,
    }
    return ViewBatch(**fields)  # type: ignore[arg-type]


def expected_tracks(view: ViewBatch) -> torch.Tensor:
    """(x, y) in the student's pixels, in the order of the clean clip."""
    since = torch.arange(_T) - view.asked[..., :1]
    points = view.asked[..., None, [2, 1]] + since[..., None] * torch.tensor([3.0, -2.0])
    return points * view.affine[0, 0, 0, 0]


def test_tracks_are_those_of_the_teacher_in_the_student_s_view() -> None:
    view = views()
    batch = pseudo_truth(Drift(), view, _CONFIG)
    torch.testing.assert_close(batch.tracks, expected_tracks(view))
    assert not batch.occluded.any()
    assert batch.counted is not None
    assert batch.counted.all()
    assert batch.video is view.student


def test_the_student_is_asked_about_another_point_of_the_track() -> None:
    batch = pseudo_truth(Drift(), views(), _CONFIG)
    # All six frames can be asked about: pick 0 is the first, 0.99 the last, 0.5 the fourth.
    assert batch.queries[..., 0].tolist() == [[0, 5], [3, 1]]
    for b in range(2):
        for n in range(2):
            t, y, x = batch.queries[b, n]
            torch.testing.assert_close(torch.stack([x, y]), batch.tracks[b, n, int(t)])


def test_a_reversed_view_has_everything_the_other_way_round() -> None:
    teacher = Drift()
    teacher.occlusion[0] = _SURE
    forwards = pseudo_truth(teacher, views(), _CONFIG)
    teacher.asked.clear()
    batch = pseudo_truth(teacher, views(backwards=True), _CONFIG)
    torch.testing.assert_close(batch.tracks, forwards.tracks.flip(2))
    assert torch.equal(batch.occluded, forwards.occluded.flip(2))
    assert batch.occluded[..., -1].all()
    torch.testing.assert_close(batch.queries[..., 0], _T - 1 - forwards.queries[..., 0])
    torch.testing.assert_close(batch.queries[..., 1:], forwards.queries[..., 1:])


def test_points_outside_the_student_s_view_are_hidden() -> None:
    view = views(zoom=1.0)  # the view shows x, y up to 64
    batch = pseudo_truth(Drift(), view, _CONFIG)
    tracks = expected_tracks(view)
    outside = (tracks >= _STUDENT).any(-1) | (tracks < 0).any(-1)
    assert outside.any()
    assert not outside.all()
    assert torch.equal(batch.occluded, outside)
    asked = batch.queries[..., 0].long()[..., None]
    assert not outside.gather(2, asked)[batch.counted.any(-1)].any()  # type: ignore[union-attr]


@pytest.mark.parametrize("error,kept", [(1.9, True), (2.1, False)])  # 4 px of 256 are 2 of 128
def test_a_track_that_does_not_lead_back_counts_for_nothing(error: float, kept: bool) -> None:
    teacher = Drift(error=error)
    batch = pseudo_truth(teacher, views(), _CONFIG)
    assert batch.counted is not None
    assert bool(batch.counted.all()) == kept
    assert bool(batch.counted.any()) == kept
    inside = (batch.queries[..., 1:] >= 0) & (batch.queries[..., 1:] <= _STUDENT)
    assert inside.all()
    # The second question is in clean pixels: the student's query, twice as large.
    if kept:
        torch.testing.assert_close(teacher.asked[1][..., 1:], 2 * batch.queries[..., 1:])


def test_frames_count_where_the_teacher_is_sure() -> None:
    teacher = Drift()
    # Visible; unsure of it; hidden; not quite hidden; visible but off; visible.
    teacher.occlusion = torch.tensor([-_SURE, -1.0, _SURE, 1.0, -_SURE, -_SURE])
    teacher.uncertainty = torch.tensor([-_SURE, -_SURE, -_SURE, -_SURE, _SURE, -_SURE])
    asked = torch.tensor([[[0.0, 60, 50], [5.0, 60, 50]]] * 2)
    batch = pseudo_truth(teacher, views(asked=asked), _CONFIG)
    assert batch.counted is not None
    assert batch.counted[0, 0].tolist() == [True, False, True, False, False, True]
    assert batch.occluded[0, 0].tolist() == [False, False, True, True, True, False]
    assert set(batch.queries[..., 0].flatten().tolist()) <= {0, 5}


def test_a_teacher_that_sees_nothing_teaches_nothing() -> None:
    teacher = Drift()
    teacher.occlusion[:] = _SURE
    batch = pseudo_truth(teacher, views(), _CONFIG)
    assert batch.counted is not None
    assert not batch.counted.any()
    assert torch.isfinite(batch.queries).all()


def test_the_share_of_tracks_that_lead_back() -> None:
    view = views()
    assert cycle_share(Drift(), view.clean, view.asked) == 1.0
    assert cycle_share(Drift(error=2.1), view.clean, view.asked) == 0.0
    teacher = Drift()
    teacher.occlusion[3:] = _SURE  # hidden from frame 3 on: asked again in frame 2
    assert cycle_share(teacher, view.clean, view.asked) == 0.5  # one was asked for in frame 4
    assert teacher.asked[1][..., 0].unique().tolist() == [2]


def batch_and_estimates() -> tuple[Batch, list[Estimate]]:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    batch = Batch(
        torch.zeros(2, _T, 8, 8, 3, dtype=torch.uint8),
        random(2, 3, 3),
        8 * random(2, 3, _T, 2),
        random(2, 3, _T) < 0.3,
        random(2, 3, _T) < 0.6,
    )
    estimates = [
        Estimate(8 * random(2, 3, _T, 2), random(2, 3, _T), random(2, 3, _T)) for _ in range(2)
    ]
    for estimate in estimates:
        for value in vars(estimate).values():
            value.requires_grad_()
    return batch, estimates


def test_only_what_counts_is_learned_from() -> None:
    batch, estimates = batch_and_estimates()
    config = LossConfig()
    terms = step_losses(estimates, batch, config, real_weight=0.5)
    # The same by hand: mean over all points of what each counted one adds, half of it.
    counted = batch.counted
    assert counted is not None
    for estimate, found in zip(estimates, terms, strict=True):
        total = 0.0
        for b, n, t in np.argwhere(counted.numpy()):
            alone = dataclasses.replace(
                batch,
                tracks=batch.tracks[b : b + 1, n : n + 1, t : t + 1],
                occluded=batch.occluded[b : b + 1, n : n + 1, t : t + 1],
                counted=None,
            )
            point = Estimate(
                *(value[b : b + 1, n : n + 1, t : t + 1] for value in vars(estimate).values())
            )
            total += sequence_loss([point], alone.tracks, alone.occluded, config)[0].total.item()
        assert found.total.item() == pytest.approx(0.5 * total / counted.numel(), rel=1e-5)
    sum(term.total for term in terms).backward()  # type: ignore[union-attr]
    for estimate in estimates:
        assert estimate.occlusion.grad is not None
        assert torch.equal(estimate.occlusion.grad != 0, counted)


def test_two_parts_of_a_batch_average_to_the_whole() -> None:
    batch, estimates = batch_and_estimates()
    whole = step_losses(estimates, batch, LossConfig(), 1.0)[1].total
    halves = []
    for row in range(2):
        part = Batch(*(value[row : row + 1] for value in vars(batch).values()))
        points = [Estimate(*(v[row : row + 1] for v in vars(e).values())) for e in estimates]
        halves.append(step_losses(points, part, LossConfig(), 1.0)[1].total)
    torch.testing.assert_close((halves[0] + halves[1]) / 2, whole)


def test_nothing_that_counts_is_a_loss_of_zero_with_gradients() -> None:
    batch, estimates = batch_and_estimates()
    assert batch.counted is not None
    nothing = dataclasses.replace(batch, counted=torch.zeros_like(batch.counted))
    terms = step_losses(estimates, nothing, LossConfig(), 1.0)
    assert [term.total.item() for term in terms] == [0.0, 0.0]
    terms[0].total.backward()
    assert estimates[0].tracks.grad is not None
    assert not estimates[0].tracks.grad.any()


def test_real_steps_are_spread_evenly() -> None:
    assert [is_real_step(step, 0.0) for step in range(4)] == [False] * 4
    assert [is_real_step(step, 1.0) for step in range(4)] == [True] * 4
    assert [is_real_step(step, 0.25) for step in range(8)] == [False] * 3 + [True] + [False] * 3 + [
        True
    ]
    assert sum(is_real_step(step, 0.3) for step in range(1000)) == pytest.approx(300, abs=1)
