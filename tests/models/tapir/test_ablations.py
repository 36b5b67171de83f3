"""Networks with a part taken away: what is left does what it says, and nothing else changes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.tapir import CONFIGS, Estimate, Tapir, TapirConfig
from models.tapir.losses import LossConfig, sequence_loss
from tests.models.small import SMALL, small_network

_QUERIES = torch.tensor([[[0.0, 20.0, 50.0], [3.0, 41.5, 7.25]]])

SWITCHES: dict[str, dict[str, object]] = {
    "no-initialisation": {"initialisation": False},
    "no-uncertainty": {"uncertainty": False},
    "no-highres": {"highres": False},
    "windows": {"mixer_window": 8},
    "no-refinement": {"num_iterations": 0},
    "chain-free-pips": {"mixer_window": 8, "initialisation": False, "uncertainty": False},
    "coarse-and-apart": {"mixer_window": 4, "highres": False, "pyramid_level": 0},
}


def clip(frames: int = 5, height: int = 64, width: int = 64) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.rand(1, frames, height, width, 3) * 2 - 1


def track(network: Tapir, video: torch.Tensor) -> tuple[Estimate, list[Estimate]]:
    with torch.inference_mode():
        return network(video, _QUERIES)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=lambda config: config.name)
def test_named_networks_lack_nothing(config: TapirConfig) -> None:
    whole = TapirConfig()
    for name in ("initialisation", "mixer_window", "uncertainty", "highres"):
        assert getattr(config, name) == getattr(whole, name)


@pytest.mark.parametrize("changes", SWITCHES.values(), ids=list(SWITCHES))
@pytest.mark.parametrize("size", [(64, 64), (64, 128)])
def test_every_network_tracks_and_learns(changes: dict[str, object], size: tuple[int, int]) -> None:
    network = small_network(**changes)
    final, iterates = network(clip(10, *size), _QUERIES)
    levels = 1 if size == (64, 64) else 2
    assert len(iterates) == 1 + levels * network.config.num_iterations
    assert final.tracks.shape == (1, 2, 10, 2)
    truth, hidden = torch.zeros(1, 2, 10, 2), torch.zeros(1, 2, 10, dtype=torch.bool)
    losses = sequence_loss(iterates, truth, hidden, LossConfig())
    torch.stack([terms.total for terms in losses]).sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    # No parameter is left without a purpose, but for the mixer where nothing is refined.
    idle = {name for name, _ in network.named_parameters()} - set(gradients)
    assert all(network.config.num_iterations == 0 and "pips_mixer" in name for name in idle)


def test_without_initialisation_tracks_begin_at_the_query() -> None:
    network = small_network(initialisation=False)
    _, iterates = track(network, clip(4, 48, 96))
    expected = _QUERIES[:, :, None, [2, 1]].expand(-1, -1, 4, -1)
    torch.testing.assert_close(iterates[0].tracks, expected)
    assert not iterates[0].occlusion.any()
    assert not iterates[0].uncertainty.any()
    assert not torch.equal(iterates[1].tracks, iterates[0].tracks)
    assert not any("cost_volume" in name for name in network.state_dict())


def test_without_initialisation_a_query_is_needed() -> None:
    network = small_network(initialisation=False)
    grids = network.feature_grids(clip(), [(64, 64)])
    with pytest.raises(ValueError, match="small begins at the query points"):
        network.estimate(grids, network.query_features(grids, _QUERIES), None)


def test_without_uncertainty_visibility_is_occlusion_alone() -> None:
    network = small_network(uncertainty=False)
    final, iterates = track(network, clip())
    for estimate in (final, *iterates):
        assert estimate.uncertainty.isneginf().all()
        assert torch.equal(estimate.visible(), torch.sigmoid(-estimate.occlusion) > 0.5)
    assert network.state_dict()["torch_cost_volume_track_mods.occ_out.weight"].shape[0] == 1
    # The same occlusion with any uncertainty would say less.
    unsure = dataclasses.replace(final, uncertainty=torch.full_like(final.uncertainty, 3.0))
    assert not unsure.visible().any()


def test_without_uncertainty_its_old_value_does_not_matter() -> None:
    """Nothing of minus infinity reaches the mixer."""
    network = small_network(uncertainty=False)
    with torch.inference_mode():
        grids = network.feature_grids(clip(), [(64, 64)])
        features = network.query_features(grids, _QUERIES)
        iterates = network.estimate(grids, features, _QUERIES)
        state = torch.cat([features.highres[1], features.lowres[1]], -1)[:, :, None]
        finite = dataclasses.replace(iterates[0], uncertainty=torch.ones(1, 2, 5))
        pyramid = grids[1].pyramid(network.config.pyramid_level, highres=True)
        again, _, _ = network.refine(pyramid, (64, 64), finite, state)
    assert torch.equal(again.tracks, iterates[1].tracks)
    assert torch.equal(again.occlusion, iterates[1].occlusion)


def test_without_highres_refinement_does_not_see_the_fine_grid() -> None:
    whole, coarse = small_network(), small_network(highres=False)
    widths = [n.torch_pips_mixer.linear.weight.shape[1] for n in (whole, coarse)]
    assert widths[0] - widths[1] == 49 + whole.config.highres_channels
    assert coarse.config.highres_channels == 0
    for network, seen in ((whole, True), (coarse, False)):
        grids = network.feature_grids(clip(), [(64, 64)])
        for grid in grids:
            grid.highres.retain_grad()
        features = network.query_features(grids, _QUERIES)
        network.estimate(grids, features, _QUERIES)[-1].tracks.sum().backward()
        assert (grids[1].highres.grad is not None) == seen


def test_without_refinement_the_initialisation_is_the_result() -> None:
    final, iterates = track(small_network(num_iterations=0), clip(5, 64, 128))
    assert len(iterates) == 1
    assert torch.equal(final.tracks, iterates[0].tracks)
    _, refined = track(small_network(), clip(5, 64, 128))
    assert torch.equal(refined[0].tracks, final.tracks)


@pytest.mark.parametrize("window", [0, 4])
def test_windows_do_not_see_each_other(window: int) -> None:
    network = small_network(mixer_window=window)
    video = clip(9)
    changed = video.clone()
    changed[:, 8:] = -changed[:, 8:]
    one, two = track(network, video)[0], track(network, changed)[0]
    first = slice(0, 4)  # frame 3 and frame 8 lie within the reach of the convolutions
    assert torch.equal(one.tracks[:, :, first], two.tracks[:, :, first]) == bool(window)
    assert not torch.equal(one.tracks[:, :, 8], two.tracks[:, :, 8])


@pytest.mark.parametrize("changes", [{"mixer_window": 8}, {"initialisation": False}])
def test_causal_networks_refuse_what_needs_the_whole_clip(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a causal network needs"):
        dataclasses.replace(SMALL, causal=True, **changes)  # type: ignore[arg-type]
