"""Trajectories bent to what is asked of them, by corrections as smooth as they can be.

A correction moves the controlled points exactly where they belong, and what is around them with
them: the further away, the less. It interpolates with a kernel over the grid, so that several
controls are met at once. Small corrections stay near their control. Longer ones reach as far as it
takes that neighbours keep their order: a short reach would fold the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from models.animation.controls import Controls
from models.animation.encoding import grid_points

if TYPE_CHECKING:
    from jaxtyping import Float

_NEAR = 1 / 12  # reach of small corrections, in sizes
_REACH = 1.6  # the least reach, in lengths of the correction: its slope is then at most 0.4
_RAMP = 4  # cells over which motion fades in beside what keeps still
_WEAKEST = 0.5  # lower strengths do not lengthen drags any further within denoising


@dataclass(frozen=True)
class _Solver:
    """Corrections at all grid points from those wanted at the controls, for one reach."""

    spread: Float[Tensor, "h*w n"]
    longest: float
    """Corrections up to this many pixels fold nothing."""


class MotionConstraints:
    """Controls over a grid of trajectories of a square frame.

    Raises ValueError for controls that `Controls.check` refuses. Within denoising, `guide` bends
    every prediction; when all is done, `finish` makes it exact.
    """

    def __init__(
        self, controls: Controls, num_frames: int, size: int, rows: int, cols: int, like: Tensor
    ) -> None:
        controls.check(size, rows, cols)
        self.controls, self.size = controls, size
        self.start = grid_points(rows, cols, size, like)
        still = torch.from_numpy(controls.still_cells(rows, cols)).to(like.device)
        self.free = fade_in(still, _RAMP).to(like.dtype)  # 0 where still, 1 far from there
        # Controls in what keeps still anyway have nothing to do.
        points = torch.tensor(controls.points, device=like.device, dtype=torch.float64)
        points = points.reshape(-1, 2)
        at = bilinear_weights(points, rows, cols, size)
        movable = (at @ self.free.flatten().double()) > 1e-3
        self.at = at[movable].to(like.dtype)  # [n, h*w]
        goals = [(drag.x1 - drag.x0, drag.y1 - drag.y0) for drag in controls.drags]
        goals += [(0.0, 0.0)] * len(controls.pins)
        goal = torch.tensor(goals, device=like.device, dtype=like.dtype).reshape(-1, 2)
        self.goal = goal[movable].T  # [2, n]
        time = torch.arange(num_frames, device=like.device, dtype=like.dtype) / (num_frames - 1)
        dragged = (torch.arange(len(goals), device=like.device) < len(controls.drags))[movable]
        # A drag is held to its end alone, a pin to all frames.
        self.hold = torch.where(dragged, 0.0, 1.0).expand(num_frames, -1)  # [t, n]
        self.pull = torch.where(dragged, time[:, None], 0.0)  # [t, n]
        self.solvers = self._solvers(at[movable], dragged) if len(self.at) else ()

    def guide(self, tracks: Float[Tensor, "b t 2 h w"]) -> Float[Tensor, "b t 2 h w"]:
        """A prediction of denoising, bent; strength is applied afterwards, hence not to drags."""
        goal = self.goal / max(self.controls.strength, _WEAKEST)
        displacement = (tracks - self.start) * self.free
        return self._correct(displacement, goal) + self.start

    def finish(
        self, tracks: Float[Tensor, "b t 2 h w"], visible: Float[Tensor, "b t h w"]
    ) -> tuple[Float[Tensor, "b t 2 h w"], Float[Tensor, "b t h w"]]:
        """Tracks and visibility that meet all controls."""
        strength = self.controls.strength
        displacement = (tracks - self.start) * (self.free * strength)
        tracks = self._correct(displacement, self.goal) + self.start
        # What hardly moves is hardly covered by anything, and what keeps still is what is seen.
        hidden = (1 - visible) * min(strength, 1.0) * (self.free > 0)
        inside = ((tracks >= 0) & (tracks <= self.size)).all(dim=2)
        visible = (1 - hidden) * inside
        if self.controls.loop:
            tracks, visible = forth_and_back(tracks), forth_and_back(visible)
        return tracks, visible

    def _correct(
        self, displacement: Float[Tensor, "b t 2 h w"], goal: Float[Tensor, "2 n"]
    ) -> Float[Tensor, "b t 2 h w"]:
        if not self.solvers:
            return displacement
        now = displacement.flatten(-2) @ self.at.T  # [b, t, 2, n]
        missing = -now * self.hold[:, None]
        missing = missing + (goal - now[:, -1:]) * self.pull[:, None]
        length = missing.norm(dim=2).amax(dim=(1, 2))  # [b]
        near, far = self.solvers
        share = (near.longest / length.clamp_min(1e-6)).clamp_max(1.0)[:, None, None, None]
        correction = (missing * share) @ near.spread.T + (missing * (1 - share)) @ far.spread.T
        return displacement + correction.unflatten(-1, self.start.shape[1:])

    def _solvers(self, at: Tensor, dragged: Tensor) -> tuple[_Solver, _Solver]:
        longest = float(self.goal.norm(dim=0).max()) / max(min(self.controls.strength, 1), _WEAKEST)
        near = _NEAR * self.size
        far = min(max(_REACH * longest, 2 * near), self.size)
        # Drags close to what keeps still are met at full weight: the fade is made steeper there.
        weight = at @ self.free.flatten().double()
        steep = float(weight[dragged].min()) if bool(dragged.any()) else 1.0
        free = (self.free.flatten().double() / steep).clamp_max(1.0)
        start = self.start.flatten(1).T.double()
        return tuple(  # type: ignore[return-value]
            _Solver(_spread(start, free, at, reach).to(self.start.dtype), reach / _REACH)
            for reach in (near, far)
        )


def bilinear_weights(
    points: Float[Tensor, "n 2"], rows: int, cols: int, size: float
) -> Float[Tensor, "n h*w"]:
    """How much each grid point counts at a point; beyond the outermost, the nearest do."""
    weights = points.new_zeros(len(points), rows, cols)
    x = (points[:, 0] * (cols / size) - 0.5).clamp(0, cols - 1)
    y = (points[:, 1] * (rows / size) - 0.5).clamp(0, rows - 1)
    x0, y0 = x.floor().clamp_max(max(cols - 2, 0)), y.floor().clamp_max(max(rows - 2, 0))
    index = torch.arange(len(points), device=points.device)
    for dy in range(min(rows, 2)):
        for dx in range(min(cols, 2)):
            share = (1 - (x - x0 - dx).abs()) * (1 - (y - y0 - dy).abs())
            weights[index, (y0 + dy).long(), (x0 + dx).long()] += share
    return weights.flatten(1)


def fade_in(still: Tensor, cells: int) -> Float[Tensor, "h w"]:
    """0 in still cells, rising to 1 over ``cells`` cells around them."""
    grown = still.float()[None, None]
    covered = grown.clone()
    for _ in range(cells - 1):
        grown = F.max_pool2d(grown, 3, stride=1, padding=1)
        covered += grown
    return 1 - covered[0, 0] / cells


def forth_and_back(values: Float[Tensor, "b t *rest"]) -> Float[Tensor, "b t *rest"]:
    """A loop: the values run to the last frame and back, slowly where they turn.

    Frame T would be frame 0 again, and the step there is as small as its neighbours.
    """
    num_frames = values.shape[1]
    time = torch.arange(num_frames, device=values.device, dtype=values.dtype)
    phase = (1 - torch.cos(time * (2 * math.pi / num_frames))) / 2
    at = phase * (num_frames - 1)
    before = at.floor().long().clamp(0, num_frames - 2)
    part = (at - before).view(1, -1, *[1] * (values.ndim - 2))
    return torch.lerp(values[:, before], values[:, before + 1], part)


def _spread(
    start: Float[Tensor, "m 2"],
    free: Float[Tensor, " m"],
    at: Float[Tensor, "n m"],
    reach: float,
) -> Float[Tensor, "m n"]:
    """The grid's correction for a unit correction at each control, exact at all controls.

    The interpolant of least energy for a kernel of smooth bumps (Matérn 3/2). Controls lie between
    grid points, so they are met as read from the grid.
    """
    corners = at.any(dim=0).nonzero()[:, 0]
    distance = torch.cdist(start, start[corners]) * (math.sqrt(3) / reach)
    kernel = (1 + distance) * torch.exp(-distance) * free[:, None] * free[corners]
    columns = kernel @ at[:, corners].T  # [m, n]
    gram = at @ columns
    gram = gram + 1e-9 * gram.diagonal().mean() * torch.eye(len(gram)).to(gram)
    return torch.linalg.solve(gram, columns.T).T
