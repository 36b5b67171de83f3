"""Properties of the whole network: any size, causality, online equals offline."""

from __future__ import annotations

import pytest
import torch

from models.tapir.online import OnlineTracker, frame_query_features
from tests.models.small import small_network


def _clip(frames: int = 5, height: int = 64, width: int = 64) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.rand(1, frames, height, width, 3) * 2 - 1


@pytest.mark.parametrize("size", [(64, 64), (48, 100), (70, 33), (128, 64), (96, 150)])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_any_size_and_length(size: tuple[int, int], frames: int) -> None:
    network = small_network()
    queries = torch.tensor([[[0.0, size[0] / 2, size[1] / 3], [frames - 1.0, 1.0, 2.0]]])
    with torch.inference_mode():
        final, iterates = network(_clip(frames, *size), queries)
    assert final.tracks.shape == (1, 2, frames, 2)
    assert torch.isfinite(final.tracks).all()
    # The initialisation pins the query's frame to the query, in pixels of the video.
    torch.testing.assert_close(iterates[0].tracks[0, 0, 0], queries[0, 0, [2, 1]])
    torch.testing.assert_close(iterates[0].tracks[0, 1, -1], queries[0, 1, [2, 1]])


def test_mirrored_video_and_transposed_grid_agree() -> None:
    """x and y are treated alike on non-square videos.

    With kernels symmetric under transposition, transposing the video transposes the tracks.
    """
    network = small_network()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.copy_((parameter + parameter.transpose(2, 3)) / 2)
        # Score maps arrive row by row; make their weights symmetric under transposition, too.
        weight = network.torch_pips_mixer.linear.weight
        start = 4 + network.config.feature_channels
        maps = weight[:, start:].unflatten(1, (-1, 7, 7))
        weight[:, start:] = ((maps + maps.transpose(2, 3)) / 2).flatten(1)
        # The same update for x and y.
        out = network.torch_pips_mixer.linear_1
        out.weight[1] = out.weight[0]
        out.bias[1] = out.bias[0]
    video = _clip(4, 64, 128)
    queries = torch.tensor([[[1.0, 20.0, 90.0], [0.0, 50.0, 30.0]]])
    with torch.inference_mode():
        straight, _ = network(video, queries)
        turned, _ = network(video.transpose(2, 3).contiguous(), queries[..., [0, 2, 1]])
    torch.testing.assert_close(straight.tracks, turned.tracks.flip(-1), atol=1e-3, rtol=0)
    torch.testing.assert_close(straight.occlusion, turned.occlusion, atol=1e-4, rtol=0)


def test_causal_network_does_not_see_the_future() -> None:
    network = small_network(causal=True)
    video, queries = _clip(6), torch.tensor([[[0.0, 30.0, 20.0]]])
    changed = video.clone()
    changed[:, 4:] = -changed[:, 4:]
    with torch.inference_mode():
        one, _ = network(video, queries)
        two, _ = network(changed, queries)
    assert torch.equal(one.tracks[:, :, :4], two.tracks[:, :, :4])
    assert not torch.equal(one.tracks[:, :, 4:], two.tracks[:, :, 4:])


@pytest.mark.parametrize("size", [(64, 64), (64, 128)])
def test_online_equals_offline(size: tuple[int, int]) -> None:
    network = small_network(causal=True)
    video = _clip(5, *size)
    points = torch.tensor([[[30.0, 20.0], [50.0, 40.0]]])
    queries = torch.cat([torch.zeros(1, 2, 1), points], -1)
    with torch.inference_mode():
        grids = network.feature_grids(video, [(64, 64)] if size == (64, 64) else [(64, 64), size])
        scale = torch.tensor([1.0, 64 / size[0], 64 / size[1]])
        features = network.query_features(grids, queries * scale)
        offline = network.estimate(grids, features, None)[-1].scaled(size[1] / 64, size[0] / 64)
        tracker = OnlineTracker(network, frame_query_features(network, video[:, 0], points))
        online = [tracker.step(video[:, t])[-1] for t in range(5)]
    tracks = torch.cat([estimate.tracks for estimate in online], dim=2)
    torch.testing.assert_close(tracks, offline.tracks, atol=1e-3, rtol=0)


def test_online_needs_a_causal_network() -> None:
    network = small_network()
    features = frame_query_features(network, _clip()[:, 0], torch.tensor([[[1.0, 2.0]]]))
    with pytest.raises(ValueError, match="causal"):
        OnlineTracker(network, features)
