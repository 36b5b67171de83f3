"""Frame-by-frame tracking with a causal network: past frames live in the mixer contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.tapir.estimate import Estimate
from models.tapir.features import QueryFeatures
from models.tapir.network import Contexts, Tapir
from models.tapir.resolutions import default_resolutions

if TYPE_CHECKING:
    from jaxtyping import Float


def frame_query_features(
    network: Tapir, frame: Float[Tensor, "b h w 3"], points: Float[Tensor, "b n 2"]
) -> QueryFeatures:
    """Features of the points (y, x), in pixels of ``frame``, to be tracked from there on."""
    height, width = frame.shape[1:3]
    init_h, init_w = network.config.initial_resolution
    resolutions = default_resolutions((height, width), (init_h, init_w))
    scaled = points * points.new_tensor([init_h / height, init_w / width])
    queries = torch.cat([torch.zeros_like(scaled[..., :1]), scaled], -1)
    return network.query_features(network.feature_grids(frame[:, None], resolutions), queries)


class OnlineTracker:
    """Tracks given query features through frames that arrive one by one.

    Raises ValueError for a network whose temporal convolutions look ahead.
    """

    def __init__(self, network: Tapir, features: QueryFeatures) -> None:
        if not network.config.causal:
            raise ValueError(
                f"{network.config.name} looks at future frames: online tracking needs a causal "
                "network, such as causal-tapir or causal-bootstapir"
            )
        self.network = network
        self.features = features
        self.contexts: Contexts | None = None

    @torch.inference_mode()
    def step(self, frame: Float[Tensor, "b h w 3"]) -> list[Estimate]:
        """Estimates of the next frame, RGB in [-1, 1]: the initialisation, then iterations.

        The last one is the result; all in pixels of ``frame`` with a time axis of length 1.
        """
        network = self.network
        height, width = frame.shape[1:3]
        init_h, init_w = network.config.initial_resolution
        resolutions = default_resolutions((height, width), (init_h, init_w))
        grids = network.feature_grids(frame[:, None], resolutions)
        if self.contexts is None:
            batch, num = self.features.lowres[0].shape[:2]
            count = len(resolutions) * network.config.num_iterations
            empty = network.torch_pips_mixer.empty_contexts(batch * num)
            self.contexts = (empty,) * count
        iterates, self.contexts = network.estimate_with_contexts(
            grids, self.features, None, self.contexts
        )
        return [estimate.scaled(width / init_w, height / init_h) for estimate in iterates]
