"""A room with solids in it, and the exact geometry of what a camera sees of them.

Everything hangs on two things per facet and moment: the homography from its photo to the frame,
and the inverse depth of its plane, which is affine in the frame's coordinates. A ray enters a
convex solid where the last plane that faces the camera is crossed and leaves it at the first that
does not: visibility needs no polygons.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pipelines.synthetic.solid.camera import Camera
from pipelines.synthetic.solid.poses import Poses
from pipelines.synthetic.solid.shapes import Shape

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt8

_AMBIENT, _DIFFUSE = 0.6, 0.55
_MIN_DEPTH = 0.05  # metres; nearer points are placed as if they were that far away
_SLACK = 1e-6  # relative difference of depths that counts as none


@dataclass(frozen=True)
class Solid:
    """A convex shape with a photo on every facet, fixed to a body."""

    shape: Shape
    frames: Float[np.ndarray, "f 3 3"]  # (u, v, 1) in pixels of the photo to body coordinates
    photos: tuple[int, ...]  # one per facet
    body: int


@dataclass(frozen=True)
class SolidScene:
    """Solids inside a room. The room is the first solid: inside out, around the camera."""

    solids: tuple[Solid, ...]
    poses: Poses
    camera: Camera
    photos: tuple[UInt8[np.ndarray, "h w 3"], ...]
    light: Float[np.ndarray, " 3"]  # unit vector towards the lamp
    shadow: float = 1.0  # brightness of the floor (the room's first facet) in shadow; 1: no shadow

    @cached_property
    def starts(self) -> Int[np.ndarray, " solid"]:
        """First facet of each solid; facets are counted through all solids."""
        counts = [len(solid.shape.loops) for solid in self.solids]
        return np.cumsum([0, *counts[:-1]])

    @cached_property
    def owners(self) -> Int[np.ndarray, " f"]:
        """The solid of each facet."""
        counts = [len(solid.shape.loops) for solid in self.solids]
        return np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def facet_photos(self) -> tuple[int, ...]:
        """The photo of each facet."""
        return tuple(photo for solid in self.solids for photo in solid.photos)

    def view(self, times: Float[np.ndarray, " n"]) -> View:
        """What the camera sees at times in frames."""
        turn, place = self.poses.at(times)
        look, position = self.camera.poses(times)
        bodies = np.array([solid.body for solid in self.solids])
        of_facet = bodies[self.owners]
        to_camera = look[:, None] @ turn  # [n, body, 3, 3]
        origin = np.einsum("nij,nbj->nbi", look, place - position[:, None])
        frames = np.concatenate([solid.frames for solid in self.solids])
        normals = np.concatenate([solid.shape.normals for solid in self.solids])
        anchors = np.concatenate([solid.shape.anchors for solid in self.solids])

        matrices = to_camera[:, of_facet] @ frames
        matrices[..., 2] += origin[:, of_facet]
        intrinsics = self.camera.intrinsics
        normal = np.einsum("nfij,fj->nfi", to_camera[:, of_facet], normals)
        anchor = np.einsum("nfij,fj->nfi", to_camera[:, of_facet], anchors) + origin[:, of_facet]
        distance = (normal * anchor).sum(-1)  # negative: the camera is on the outer side
        facing = distance < 0
        # Seen exactly edge-on, the plane is a line of the frame at any depth.
        distance = np.where(np.abs(distance) < 1e-9, np.where(facing, -1e-9, 1e-9), distance)
        planes = normal @ np.linalg.inv(intrinsics) / distance[..., None]
        lit = np.einsum("nbij,j->nbi", turn.swapaxes(-1, -2), self.light)
        gain = _AMBIENT + _DIFFUSE * np.maximum((lit[:, of_facet] * normals).sum(-1), 0)
        corners = [
            np.einsum("nij,vj->nvi", to_camera[:, solid.body], solid.shape.vertices)
            + origin[:, None, solid.body]
            for solid in self.solids
        ]
        outline = tuple(corner @ intrinsics.T for corner in corners)
        return View(self, times, intrinsics @ matrices, planes, facing, gain, outline)


@dataclass(frozen=True)
class View:
    """The scene as the camera sees it at n moments; `index` arguments count these."""

    scene: SolidScene
    times: Float[np.ndarray, " n"]
    matrices: Float[np.ndarray, "n f 3 3"]  # photo (raster pixels) to frame (raster pixels)
    planes: Float[np.ndarray, "n f 3"]  # times (x, y, 1): inverse depth of the facet's plane
    facing: Bool[np.ndarray, "n f"]  # the camera is on the facet's outer side
    gains: Float[np.ndarray, "n f"]  # brightness under the scene's light
    outlines: tuple[Float[np.ndarray, "n v 3"], ...]  # homogeneous vertices of each solid

    def project(
        self, facets: Int[np.ndarray, " k"], places: Float[np.ndarray, "k 2"]
    ) -> tuple[Float[np.ndarray, "k n 2"], Float[np.ndarray, "k n"]]:
        """Frame positions (x, y) at all moments, and depths, of points (u, v) on facets' photos."""
        homogeneous = np.column_stack([places, np.ones(len(places))])
        points = np.einsum("nkij,kj->kni", self.matrices[:, facets], homogeneous)
        depth = points[..., 2]
        return points[..., :2] / np.maximum(depth, _MIN_DEPTH)[..., None], depth

    def locate(
        self,
        index: Int[np.ndarray, " k"],
        facets: Int[np.ndarray, " k"],
        points: Float[np.ndarray, "k 2"],
    ) -> Float[np.ndarray, "k 2"]:
        """Photo positions (u, v) of facets under frame positions: the inverse of `project`."""
        inverse = np.linalg.inv(self.matrices[index, facets])
        found = np.einsum("kij,kj->ki", inverse, np.column_stack([points, np.ones(len(points))]))
        return found[:, :2] / found[:, 2:]

    def cast(
        self, index: Int[np.ndarray, " k"], points: Float[np.ndarray, "k 2"]
    ) -> Int[np.ndarray, " k"]:
        """The facet seen at frame positions (x, y)."""
        depths, planes = self._entries(index, points)
        nearest = depths.argmax(axis=1)
        entered = depths[np.arange(len(points)), nearest]
        # The planes of the room count where the ray leaves: for both it is the same value.
        match = planes == entered[:, None]
        match &= (self.scene.owners == nearest[:, None]) & self.facing[index]
        return match.argmax(axis=1)

    def occluded(
        self,
        facets: Int[np.ndarray, " k"],
        points: Float[np.ndarray, "k n 2"],
        depths: Float[np.ndarray, "k n"],
    ) -> Bool[np.ndarray, "k n"]:
        """Whether points of facets (from `project`) are hidden: out of frame, turned away, behind
        another solid, or inside one."""
        count, moments = points.shape[:2]
        index = np.tile(np.arange(moments), count)
        entries, _ = self._entries(index, points.reshape(-1, 2))
        own = np.repeat(self.scene.owners[facets], moments)
        entries[np.arange(len(own)), own] = -np.inf
        nearest = entries.max(axis=1).reshape(count, moments)
        hidden = nearest > (1 + _SLACK) / np.maximum(depths, _MIN_DEPTH)
        hidden |= ~self.facing[:, facets].T | (depths < _MIN_DEPTH)
        outside = (points < 0) | (points >= self.scene.camera.frame_size)
        return hidden | outside.any(axis=-1)

    def _entries(
        self, index: np.ndarray, points: np.ndarray
    ) -> tuple[Float[np.ndarray, "k solid"], Float[np.ndarray, "k f"]]:
        """Inverse depth at which rays meet each solid (-inf: never) and each facet's plane."""
        rays = np.column_stack([points, np.ones(len(points))])
        planes = np.einsum("kfi,ki->kf", self.planes[index], rays)
        facing = self.facing[index]
        starts = self.scene.starts
        entry = np.minimum.reduceat(np.where(facing, planes, np.inf), starts, axis=1)
        leave = np.maximum.reduceat(np.where(facing, -np.inf, planes), starts, axis=1)
        hit = (entry > leave) & (entry > 0) & np.isfinite(entry)
        entry[~hit] = -np.inf
        # Within the room, the ray ends at the nearest of the walls.
        walls = slice(0, int(starts[1]) if len(starts) > 1 else None)
        entry[:, 0] = np.where(facing[:, walls], planes[:, walls], -np.inf).max(axis=1)
        return entry, planes
