"""TAPIR: per-frame initialisation and temporal refinement (paper section 3).

The network works in pixels of its initial resolution; ``forward`` takes and returns
coordinates of the given video (docs/coordinates.md). Attribute names and tensor shapes are
those of the published state dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.tapir.backbone import ExtraConvs, ResNet
from models.tapir.config import TapirConfig
from models.tapir.cost_volume import CostVolumeHead, soft_argmax
from models.tapir.estimate import Estimate
from models.tapir.features import FeatureGrids, QueryFeatures, Resolution
from models.tapir.layers import l2_normalize
from models.tapir.mixer import BlockContext, Mixer
from models.tapir.resolutions import default_resolutions
from models.tapir.sampling import local_score_maps, sample_query_features, similarities

if TYPE_CHECKING:
    from jaxtyping import Float

Contexts = tuple[tuple[BlockContext, ...], ...]
"""Mixer contexts of a causal network, one entry per refinement iteration."""


class Tapir(nn.Module):
    """The network of any :class:`TapirConfig`."""

    def __init__(self, config: TapirConfig) -> None:
        super().__init__()
        self.config = config
        self.resnet_torch = ResNet(config.group_channels)
        if config.initialisation:
            self.torch_cost_volume_track_mods = CostVolumeHead(
                config.cost_channels, config.uncertainty
            )
        self.torch_pips_mixer = Mixer(config)
        if config.num_extra_convs:
            self.extra_convs = ExtraConvs(config.lowres_channels, config.num_extra_convs)

    @property
    def dtype(self) -> torch.dtype:
        return self.resnet_torch.initial_conv.weight.dtype

    def channels_last(self) -> Tapir:
        """Lays the convolutions' weights out as the feature maps are: fastest everywhere."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def forward(
        self,
        video: Float[Tensor, "b t h w 3"],
        queries: Float[Tensor, "b n 3"],
        *,
        resolutions: Sequence[Resolution] | None = None,
        query_chunk: int | None = None,
        frame_chunk: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Estimate, list[Estimate]]:
        """Track every query through the whole video.

        Args:
            video: RGB in [-1, 1].
            queries: (t, y, x) in frames and pixels of ``video``; at least one.
            resolutions: (height, width) of each refinement level; by default the initial
                resolution, then steps up to the size of the video.
            query_chunk, frame_chunk: process so many at once; results do not depend on it.
            progress: called with (queries done, queries) after each chunk.

        Returns:
            The final estimate (mean over levels) and every estimate on the way: the
            initialisation, then each iteration of each level. In pixels of ``video``.
        """
        height, width = video.shape[2:4]
        init_h, init_w = self.config.initial_resolution
        if resolutions is None:
            resolutions = default_resolutions((height, width), self.config.initial_resolution)
        grids = self.feature_grids(video, resolutions, frame_chunk)
        points = queries * queries.new_tensor([1.0, init_h / height, init_w / width])
        features = self.query_features(grids, points)
        num_queries = queries.shape[1]
        step = query_chunk or num_queries
        chunks = []
        for start in range(0, num_queries, step):
            part = slice(start, start + step)
            chunks.append(self.estimate(grids, features[part], points[:, part]))
            if progress is not None:
                progress(min(start + step, num_queries), num_queries)
        iterates = [Estimate.concatenate(parts) for parts in zip(*chunks, strict=True)]
        iterates = [e.scaled(width / init_w, height / init_h) for e in iterates]
        every = self.config.num_iterations
        refined = iterates[every::every] if every else []
        return Estimate.mean(refined or iterates[:1]), iterates

    def feature_grids(
        self,
        video: Float[Tensor, "b t h w 3"],
        resolutions: Sequence[Resolution],
        frame_chunk: int | None = None,
    ) -> list[FeatureGrids]:
        """Features at the initial resolution, then at each refinement level."""
        grids: dict[Resolution, FeatureGrids] = {}
        for resolution in (self.config.initial_resolution, *resolutions):
            if resolution not in grids:
                grids[resolution] = self._features_at(video, resolution, frame_chunk)
        return [grids[r] for r in (self.config.initial_resolution, *resolutions)]

    def _features_at(
        self, video: Tensor, resolution: Resolution, frame_chunk: int | None
    ) -> FeatureGrids:
        frames = video.flatten(0, 1).permute(0, 3, 1, 2)  # channels last already
        highres, lowres = [], []
        for chunk in frames.split(frame_chunk or len(frames)):
            if chunk.shape[2:] != resolution:
                chunk = F.interpolate(
                    chunk, resolution, mode="bilinear", align_corners=False
                ).contiguous(memory_format=torch.channels_last)
            high, low = self.resnet_torch(chunk.to(self.dtype))
            if self.config.num_extra_convs:
                low = self.extra_convs(low)
            highres.append(l2_normalize(high, 1).permute(0, 2, 3, 1))
            lowres.append(l2_normalize(low, 1).permute(0, 2, 3, 1))
        shape = video.shape[:2]
        return FeatureGrids(
            resolution,
            torch.cat(highres).unflatten(0, shape),
            torch.cat(lowres).unflatten(0, shape),
        )

    def query_features(
        self, grids: Sequence[FeatureGrids], points: Float[Tensor, "b n 3"]
    ) -> QueryFeatures:
        """Features at query points given in pixels of the initial resolution."""
        return QueryFeatures(
            tuple(
                sample_query_features(g.highres, self._to_grid(points, g.highres)) for g in grids
            ),
            tuple(sample_query_features(g.lowres, self._to_grid(points, g.lowres)) for g in grids),
        )

    def _to_grid(self, points: Tensor, grid: Tensor) -> Tensor:
        """(t, y, x) or (x, y) in pixels of the initial resolution to cells of a grid."""
        init_h, init_w = self.config.initial_resolution
        scale_y, scale_x = grid.shape[2] / init_h, grid.shape[3] / init_w
        scale = [1.0, scale_y, scale_x] if points.shape[-1] == 3 else [scale_x, scale_y]
        return points * points.new_tensor(scale)

    def estimate(
        self,
        grids: Sequence[FeatureGrids],
        features: QueryFeatures,
        points: Float[Tensor, "b n 3"] | None,
        contexts: Contexts | None = None,
    ) -> list[Estimate]:
        """Initialisation and all refinements, in pixels of the initial resolution.

        ``points`` pins each track to its query at the query's frame; None where the query
        frame is not among the frames of ``grids`` (online tracking), which needs a network with
        its own initialisation (ValueError).
        """
        iterates, _ = self.estimate_with_contexts(grids, features, points, contexts)
        return iterates

    def estimate_with_contexts(
        self,
        grids: Sequence[FeatureGrids],
        features: QueryFeatures,
        points: Float[Tensor, "b n 3"] | None,
        contexts: Contexts | None,
    ) -> tuple[list[Estimate], Contexts | None]:
        """As :meth:`estimate`, with the mixer contexts of a causal network carried along."""
        if self.config.initialisation:
            initial = self.initialise(grids[0], features.lowres[0], points)
        else:
            initial = self._standing_still(grids[0], points)
        iterates = [initial]
        new_contexts = []
        for level, grid in enumerate(grids[1:], start=1):
            pyramid = grid.pyramid(self.config.pyramid_level, self.config.highres)
            query = features.lowres[level]
            if self.config.highres:
                query = torch.cat([features.highres[level], query], -1)
            state = query[:, :, None]  # the same feature on every frame, until refined
            current = Estimate(iterates[-1].tracks, initial.occlusion, initial.uncertainty)
            for _ in range(self.config.num_iterations):
                context = None if contexts is None else contexts[len(iterates) - 1]
                current, state, context = self.refine(
                    pyramid, grid.resolution, current, state, context
                )
                iterates.append(current)
                new_contexts.append(context)
        if contexts is None:
            return iterates, None
        return iterates, tuple(c for c in new_contexts if c is not None)

    def initialise(
        self,
        grid: FeatureGrids,
        query: Float[Tensor, "b n c_low"],
        points: Float[Tensor, "b n 3"] | None,
    ) -> Estimate:
        """Independent matches on every frame (section 3.1)."""
        batch, frames, height, width, _ = grid.lowres.shape
        num = query.shape[1]
        cost = similarities(query[:, None], grid.lowres.flatten(2, 3))  # [b, t, n, h * w]
        maps = cost.flatten(0, 2).unflatten(1, (height, width))
        step = self._maps_at_once(height * width)
        positions, logits = [], []
        for chunk in maps.split(step):
            heatmap, logit = self.torch_cost_volume_track_mods(chunk)
            positions.append(soft_argmax(heatmap, self.config.softmax_temperature))
            logits.append(logit.float())
        init_h, init_w = self.config.initial_resolution
        tracks = torch.cat(positions)
        tracks = tracks * tracks.new_tensor([init_w / width, init_h / height])
        tracks = tracks.view(batch, frames, num, 2).transpose(1, 2)
        logit = torch.cat(logits).view(batch, frames, num, -1).transpose(1, 2)
        if points is not None:
            times = torch.arange(frames, device=tracks.device, dtype=points.dtype)
            at_query = (points[..., 0:1].round() == times)[..., None]
            tracks = torch.where(at_query, points[:, :, None, [2, 1]].to(tracks.dtype), tracks)
        occlusion = logit[..., 0]
        return Estimate(
            tracks, occlusion, logit[..., 1] if self.config.uncertainty else _none(occlusion)
        )

    def _standing_still(self, grid: FeatureGrids, points: Tensor | None) -> Estimate:
        """The query point on every frame, with even odds of being hidden or off."""
        if points is None:
            raise ValueError(f"{self.config.name} begins at the query points: none were given")
        frames = grid.lowres.shape[1]
        tracks = points[:, :, None, [2, 1]].expand(-1, -1, frames, -1).float()
        even = torch.zeros_like(tracks[..., 0])
        return Estimate(tracks, even, even if self.config.uncertainty else _none(even))

    def _maps_at_once(self, cells: int) -> int:
        if torch.is_grad_enabled() or self.resnet_torch.initial_conv.weight.is_cuda:
            return 1 << 20
        # The hidden maps of a chunk should stay in the last-level cache of a CPU.
        return max(1, (8 << 20) // (4 * cells * self.config.cost_channels[0]))

    def refine(
        self,
        pyramid: Sequence[Float[Tensor, "b t h w c"]],
        resolution: Resolution,
        current: Estimate,
        state: Float[Tensor, "b n #t c"],
        context: tuple[BlockContext, ...] | None = None,
    ) -> tuple[Estimate, Float[Tensor, "b n t c"], tuple[BlockContext, ...] | None]:
        """One iteration (section 3.2): score maps around the track, mixer, residual update."""
        split = self.config.highres_channels
        # Positions select where to look; no gradient flows through that choice.
        tracks = current.tracks.detach()
        parts = [state[..., split:]] * len(pyramid)
        if self.config.highres:
            parts[0] = state[..., :split]
        scores = [
            local_score_maps(part, grid, self._to_grid(tracks, grid))
            for part, grid in zip(parts, pyramid, strict=True)
        ]
        state = state.expand(*tracks.shape[:3], -1)
        uncertainty = current.uncertainty
        if not self.config.uncertainty:
            uncertainty = torch.zeros_like(uncertainty)
        logits = torch.stack([current.occlusion, uncertainty], -1).to(state.dtype)
        # The published network has two inputs for the position and feeds zeros there.
        inputs = torch.cat([torch.zeros_like(logits), logits, state, *scores], -1)
        out, context = self.torch_pips_mixer(inputs.flatten(0, 1), context)
        out = out.unflatten(0, tracks.shape[:2])
        update = out[..., :4].float()
        init_h, init_w = self.config.initial_resolution
        scale = update.new_tensor([init_w / resolution[1], init_h / resolution[0]])
        refined = Estimate(
            tracks + update[..., :2] * scale,
            current.occlusion + update[..., 2],
            uncertainty + update[..., 3] if self.config.uncertainty else current.uncertainty,
        )
        return refined, state + out[..., 4:], context


def _none(logits: Tensor) -> Tensor:
    """Logits of probability zero."""
    return torch.full_like(logits, -torch.inf)
