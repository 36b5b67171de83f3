"""Fills whose result is known."""

from __future__ import annotations

import pytest
import torch

from models.animation.holes import background_weight, fill_holes


def hole(height: int = 40, width: int = 50) -> torch.Tensor:
    covered = torch.ones(1, 1, height, width)
    covered[..., 12:25, 20:37] = 0
    return covered


def test_a_plain_picture_stays_plain() -> None:
    picture = torch.tensor([0.3, -0.7])[None, :, None, None].expand(1, 2, 40, 50)
    filled = fill_holes(picture * hole(), hole())
    torch.testing.assert_close(filled, picture, atol=1e-5, rtol=0)


def test_what_is_covered_is_left_alone_and_without_holes_nothing_is_done() -> None:
    picture = torch.rand(1, 3, 40, 50)
    filled = fill_holes(picture, hole())
    kept = hole().bool().expand_as(picture)
    assert torch.equal(filled[kept], picture[kept])
    assert fill_holes(picture, torch.ones_like(hole())) is picture


def test_a_gradient_is_continued_roughly_and_smoothly() -> None:
    picture = torch.linspace(-1, 1, 50).expand(1, 1, 40, 50)
    filled = fill_holes(picture * hole(), hole())
    assert (filled - picture).abs().max() < 0.25
    assert filled.diff(dim=3).abs().max() < 0.2


def test_the_background_fills() -> None:
    """Left of the hole an object, 5 cells off the dominant motion; right of it the background."""
    picture = torch.ones(1, 1, 40, 50)
    picture[..., :20] = -1
    depth = torch.where(picture < 0, 5.0, 0.0)
    filled = fill_holes(picture * hole(), hole(), background_weight(depth))
    assert filled[..., 12:25, 20:37].min() > 0.8


def test_where_there_is_only_an_object_it_fills() -> None:
    picture = torch.full((1, 1, 40, 50), 0.4)
    weight = background_weight(torch.full_like(picture, 9.0))
    filled = fill_holes(picture * hole(), hole(), weight)
    torch.testing.assert_close(filled, picture, atol=1e-4, rtol=0)


def test_partial_cover_blends() -> None:
    picture, covered = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    picture[..., 4, 4], covered[..., 4, 4] = 1.0, 0.5
    assert 0.5 <= float(fill_holes(picture, covered)[0, 0, 4, 4]) < 0.8


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (5, 16), (33, 1)])
def test_any_size(size: tuple[int, int]) -> None:
    covered = torch.zeros(1, 1, *size)
    assert fill_holes(torch.rand(1, 2, *size), covered).abs().max() == 0
    covered[..., -1, -1] = 1
    filled = fill_holes(torch.full((1, 2, *size), 0.6) * covered, covered)
    torch.testing.assert_close(filled, torch.full((1, 2, *size), 0.6), atol=1e-5, rtol=0)


def test_gradients_flow_into_the_fill() -> None:
    picture = torch.rand(1, 1, 40, 50, requires_grad=True)
    fill_holes(picture * hole(), hole())[..., 18, 28].sum().backward()
    assert picture.grad is not None
    assert picture.grad.isfinite().all()
    assert picture.grad.sum() == pytest.approx(1, abs=1e-4)
