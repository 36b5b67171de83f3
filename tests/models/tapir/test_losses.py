"""Losses against values computed by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from models.tapir import Estimate
from models.tapir.losses import LossConfig, sequence_loss, track_loss

_CONFIG = LossConfig(huber_delta=4.0, position_weight=1.0, uncertainty_threshold=6.0)


def _estimate(error: list[float], occlusion: float = 0.0, uncertainty: float = 0.0) -> Estimate:
    tracks = torch.tensor([[[[e, 0.0] for e in error]]])
    logits = torch.full((1, 1, len(error)), 1.0)
    return Estimate(tracks, logits * occlusion, logits * uncertainty)


def _loss(estimate: Estimate, occluded: list[bool]) -> tuple[float, float, float]:
    truth = torch.zeros_like(estimate.tracks)
    terms = track_loss(estimate, truth, torch.tensor([[occluded]]), _CONFIG)
    return terms.position.item(), terms.occlusion.item(), terms.uncertainty.item()


@pytest.mark.parametrize("error, huber", [(0.0, 0.0), (2.0, 2.0), (4.0, 8.0), (10.0, 32.0)])
def test_huber_is_quadratic_then_linear(error: float, huber: float) -> None:
    position, _, _ = _loss(_estimate([error]), [False])
    assert position == pytest.approx(huber, abs=1e-5)


def test_hidden_points_only_count_for_occlusion() -> None:
    position, occlusion, uncertainty = _loss(_estimate([50.0, 0.0], occlusion=2.0), [True, False])
    assert position == pytest.approx(0.0, abs=1e-9)
    # Softplus(-2) where it is hidden, softplus(2) where it is not, averaged.
    expected = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(2.0))) / 2
    assert occlusion == pytest.approx(expected, rel=1e-5)
    assert uncertainty == pytest.approx(math.log(2) / 2, rel=1e-5)


@pytest.mark.parametrize("error, target", [(5.9, 0.0), (6.1, 1.0)])
def test_uncertainty_target_is_the_own_error(error: float, target: float) -> None:
    _, _, uncertainty = _loss(_estimate([error], uncertainty=3.0), [False])
    expected = math.log1p(math.exp(-3.0 if target else 3.0))
    assert uncertainty == pytest.approx(expected, rel=1e-5)


def test_no_gradient_through_the_uncertainty_target() -> None:
    estimate = _estimate([7.0], uncertainty=1.0)
    estimate.tracks.requires_grad_()
    terms = track_loss(
        estimate, torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, dtype=torch.bool), _CONFIG
    )
    assert not terms.uncertainty.requires_grad
    assert terms.position.requires_grad


def test_every_estimate_is_weighted_alike() -> None:
    first, second = _estimate([2.0]), _estimate([10.0])
    visible = torch.zeros(1, 1, 1, dtype=torch.bool)
    terms = sequence_loss([first, second], torch.zeros(1, 1, 1, 2), visible, _CONFIG)
    assert [t.position.item() for t in terms] == pytest.approx([2.0, 32.0], abs=1e-5)


def test_the_sum_of_all_terms_by_hand() -> None:
    """Two visible points, 1 px and 7 px off, and a hidden one; weights are not 1."""
    config = LossConfig(
        huber_delta=4.0,
        position_weight=0.5,
        occlusion_weight=2.0,
        uncertainty_weight=3.0,
        uncertainty_threshold=6.0,
    )
    estimate = _estimate([1.0, 7.0, 90.0], occlusion=0.5, uncertainty=-1.0)
    hidden = torch.tensor([[[False, False, True]]])
    terms = track_loss(estimate, torch.zeros(1, 1, 3, 2), hidden, config)

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    position = 0.5 * (0.5 + 4.0 * (7.0 - 2.0)) / 3
    occlusion = 2.0 * (2 * softplus(0.5) + softplus(-0.5)) / 3
    uncertainty = 3.0 * (softplus(-1.0) + softplus(1.0)) / 3
    assert terms.total.item() == pytest.approx(position + occlusion + uncertainty, rel=1e-5)


def test_a_network_without_uncertainty_has_no_such_term() -> None:
    estimate = _estimate([1.0, 9.0], occlusion=2.0)
    alone = dataclasses.replace(estimate, uncertainty=torch.full((1, 1, 2), -torch.inf))
    alone.tracks.requires_grad_()
    hidden = torch.tensor([[[False, True]]])
    with_term = track_loss(estimate, torch.zeros(1, 1, 2, 2), hidden, _CONFIG)
    without = track_loss(alone, torch.zeros(1, 1, 2, 2), hidden, _CONFIG)
    assert without.uncertainty.item() == 0.0
    assert without.position.item() == with_term.position.item()
    assert without.occlusion.item() == with_term.occlusion.item()
    without.total.backward()
    assert alone.tracks.grad is not None
    # Half the mean over two points: the slope of a parabola at 1; a hidden point pulls nowhere.
    assert alone.tracks.grad[0, 0, :, 0].tolist() == pytest.approx([0.5, 0.0])
