"""A teacher's tracks on real clips, kept where they can be trusted, as the student's truth.

BootsTAPIR (arXiv:2402.00847, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.tapir import Estimate
from pipelines.training.config import SelfTraining
from pipelines.training.data import Batch, ViewBatch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

Teacher = Callable[["UInt8[Tensor, 'b t s s 3']", "Float[Tensor, 'b n 3']"], Estimate]
"""(video, queries) to the estimate of all tracks, in pixels of the video."""

_CYCLE_SIZE = 256.0  # side of the frame that `SelfTraining.cycle_px` is measured in


@torch.no_grad()
def pseudo_truth(teacher: Teacher, views: ViewBatch, config: SelfTraining) -> Batch:
    """The student's clips with the teacher's tracks as truth.

    The teacher tracks points of the clean clip. From each track one point is drawn that it is sure
    to see and that lies in the student's view: there the student's query is. The teacher is asked
    about that point as well; unless it leads back to the first query the track does not count.
    Frames count where the teacher is sure that the point is visible, or that it is hidden.
    """
    first = teacher(views.clean, views.asked)
    seen, hidden = _certainties(first)
    sure_seen, sure_hidden = seen > config.confidence, hidden > config.confidence
    tracks = _mapped(first.tracks.float(), views.affine)
    size = tracks.new_tensor([views.student.shape[3], views.student.shape[2]])
    inside = (tracks >= 0).all(-1) & (tracks < size).all(-1)

    askable = sure_seen & inside
    frame = _drawn(askable, views.pick)
    index = frame[..., None, None].expand(-1, -1, 1, 2)
    start = first.tracks.float().gather(2, index)[:, :, 0]
    second = teacher(views.clean, torch.cat([frame[..., None].float(), start.flip(-1)], -1))
    back = _leads_back(second, views.asked, views.clean.shape[2], config.cycle_px)
    usable = askable.any(-1) & back

    counted = (sure_seen | sure_hidden) & usable[..., None]
    occluded = (seen <= 0.5) | ~inside
    queries = torch.cat([frame[..., None], tracks.gather(2, index)[:, :, 0].flip(-1)], -1)
    # A query must lie in the clip even where its track counts for nothing.
    centre = torch.cat([frame[..., None].float(), (size / 2).expand(*frame.shape, 2)], -1)
    queries = torch.where(usable[..., None], queries, centre)
    return Batch(views.student, *_in_student_time(views, queries, tracks, occluded, counted))


def cycle_share(
    teacher: Teacher, clean: UInt8[Tensor, "b t s s 3"], asked: Float[Tensor, "b n 3"]
) -> float:
    """How many tracks lead back within 4 px (of 256), asked again from their last visible point.

    Truth-free, and blind to a tracker that stands still: a figure beside others, in [0, 1].
    """
    first = teacher(clean, asked)
    seen = _certainties(first)[0] > 0.5
    last = (seen * torch.arange(seen.shape[-1], device=seen.device)).amax(-1)
    start = first.tracks.float().gather(2, last[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
    second = teacher(clean, torch.cat([last[..., None].float(), start.flip(-1)], -1))
    back = _leads_back(second, asked, clean.shape[2], 4.0)
    return float((back & seen.any(-1)).float().mean())


def _certainties(estimate: Estimate) -> tuple[Tensor, Tensor]:
    """Probabilities that a point is visible where it is said to be, and that it is hidden."""
    occlusion = estimate.occlusion.float()
    seen = torch.sigmoid(-occlusion) * torch.sigmoid(-estimate.uncertainty.float())
    return seen, torch.sigmoid(occlusion)


def _mapped(points: Tensor, affine: Tensor) -> Tensor:
    """[b, n, t, 2] under [b, t, 2, 3]."""
    return torch.einsum("btij,bntj->bnti", affine[..., :2], points) + affine[:, None, :, :, 2]


def _drawn(possible: Bool[Tensor, "b n t"], pick: Float[Tensor, "b n"]) -> Tensor:
    """One of the possible frames of each track, evenly by `pick`; any frame where there is none."""
    count = possible.sum(-1)
    wanted = (pick * count).long().clamp(max=possible.shape[-1] - 1)
    rank = possible.cumsum(-1) - 1
    return ((rank == wanted[..., None]) & possible).int().argmax(-1)


def _leads_back(second: Estimate, asked: Tensor, side: int, limit: float) -> Tensor:
    """Whether tracks pass the points asked first, visibly, in a clip of `side` pixels."""
    frame = asked[..., 0].round().long()
    at = second.tracks.float().gather(2, frame[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
    distance = (at - asked[..., [2, 1]]).norm(dim=-1) * (_CYCLE_SIZE / side)
    visible = _certainties(second)[0].gather(2, frame[..., None])[..., 0] > 0.5
    return (distance < limit) & visible


def _in_student_time(
    views: ViewBatch, queries: Tensor, tracks: Tensor, occluded: Tensor, counted: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    last = views.student.shape[1] - 1
    back = views.backwards[:, None, None]
    time = torch.where(back[..., 0], last - queries[..., 0], queries[..., 0])
    return (
        torch.cat([time[..., None], queries[..., 1:]], -1),
        torch.where(back[..., None], tracks.flip(2), tracks),
        torch.where(back, occluded.flip(2), occluded),
        torch.where(back, counted.flip(2), counted),
    )
