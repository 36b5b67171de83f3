"""The layout of trajectories: round trips, what is hidden, what the network is shown."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import models
from models.animation import TrajectoryEncoding
from models.animation.encoding import ENCODING_CHANNELS, bridge_hidden, grid_points
from tests.models.animation.small_animation import FRAMES, GRID, SIZE, moved, start_points, turned

BOTH = pytest.mark.parametrize("diffused", ["state", "encoding"])


def seen(tracks: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(tracks[:, :, 0], dtype=torch.bool)


def wandering(seed: int = 0, step: float = 4.0) -> torch.Tensor:
    """Random walks of all points, [2, t, 2, h, w]."""
    generator = torch.Generator().manual_seed(seed)
    steps = step * torch.randn(2, FRAMES, 2, GRID, GRID, generator=generator)
    steps[:, 0] = 0
    return start_points(1)[None] + steps.cumsum(1)


def test_grid_is_that_of_the_queries() -> None:
    expected = models.grid_queries(SIZE, SIZE, GRID, 2 * GRID)
    points = grid_points(GRID, 2 * GRID, SIZE, torch.zeros(1)).flatten(1).T.numpy()
    np.testing.assert_allclose(points, expected[:, [2, 1]])


@BOTH
@pytest.mark.parametrize("tracks", [moved(9, -5), turned(80), wandering(), wandering(step=30)])
def test_round_trip(tracks: torch.Tensor, diffused: str) -> None:
    encoding = TrajectoryEncoding(FRAMES, SIZE, diffused=diffused)
    data = encoding.diffuse(encoding.to_state(tracks, seen(tracks)))
    assert data.shape == (len(tracks), encoding.channels, GRID, GRID)
    back, probability = encoding.from_state(encoding.state_of(data))
    within = (tracks - tracks[:, :1]).norm(dim=2) < 2 * SIZE
    error = (back - tracks).norm(dim=2)
    assert error[within].max() < 1e-3 * SIZE / 64
    assert (probability == 1).all()


def test_visibility_round_trip() -> None:
    tracks = moved(4, 0)
    encoding = TrajectoryEncoding(FRAMES, SIZE)
    probability = torch.rand(1, FRAMES, GRID, GRID, generator=torch.Generator().manual_seed(0))
    _, back = encoding.from_state(encoding.to_state(tracks, probability))
    torch.testing.assert_close(back[:, 1:], probability[:, 1:])
    assert (back[:, 0] == 1).all()  # the points are those of the first frame


def test_displacements_have_unit_order_in_all_frames() -> None:
    """A softness' length is asinh(1), in the direction it has, whatever the frame."""
    encoding = TrajectoryEncoding(24, 256, softness=1 / 64, growth=0.5)
    tracks = start_points(1, 256)[None].repeat(1, 24, 1, 1, 1)
    softness = 4 * torch.sqrt(torch.arange(24) / 23)
    tracks[:, :, 0] += 0.6 * softness[:, None, None]
    tracks[:, :, 1] -= 0.8 * softness[:, None, None]
    _, relative = encoding.split(encoding.to_state(tracks, seen(tracks)))
    length = math.asinh(1)
    torch.testing.assert_close(
        relative[:, 1:, 0], torch.full_like(relative[:, 1:, 0], 0.6 * length)
    )
    torch.testing.assert_close(
        relative[:, 1:, 1], torch.full_like(relative[:, 1:, 1], -0.8 * length)
    )


def test_wild_jumps_and_wild_noise_stay_finite() -> None:
    encoding = TrajectoryEncoding(FRAMES, SIZE)
    tracks = moved(0, 0)
    tracks[:, 3, 0] += 1e6
    back, _ = encoding.from_state(encoding.to_state(tracks, seen(tracks)))
    assert (back[:, 3, 0] - tracks[:, 0, 0]).max() == pytest.approx(2 * SIZE, rel=1e-3)
    noise = 30 * torch.randn(1, encoding.channels, GRID, GRID)
    encoded = encoding.encode(noise)
    assert encoded.isfinite().all()
    frames = encoded.unflatten(1, (FRAMES, ENCODING_CHANNELS))
    assert frames[:, :, 3:5].abs().max() <= 1.5
    assert frames[:, :, 5:].abs().max() <= 1


def test_hidden_points_do_not_carry_guesses() -> None:
    tracks = moved(14, 7)
    visible = seen(tracks)
    visible[:, 2:4, :, :8] = False  # comes back
    visible[:, 5:, :, 8:] = False  # does not
    guessed = tracks.clone()
    guessed.transpose(1, 2)[(~visible)[:, None].expand(-1, 2, -1, -1, -1)] = 1e4
    encoding = TrajectoryEncoding(FRAMES, SIZE)
    back, probability = encoding.from_state(encoding.to_state(guessed, visible))
    # The motion is even, so what is hidden for a while is where it would be; else it waits.
    torch.testing.assert_close(back[..., :8], tracks[..., :8], atol=1e-3, rtol=0)
    torch.testing.assert_close(back[:, :5], tracks[:, :5], atol=1e-3, rtol=0)
    held = tracks[:, 4:5, ..., 8:].expand(-1, 3, -1, -1, -1)
    torch.testing.assert_close(back[:, 5:, ..., 8:], held, atol=1e-3, rtol=0)
    assert ((probability > 0.5) == visible).all()


def test_bridge_against_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, FRAMES, 1, 3, 4, generator=generator)
    visible = torch.rand(2, FRAMES, 3, 4, generator=generator) > 0.5
    visible[:, 0] = True
    bridged = bridge_hidden(values, visible)
    for b, i, j in np.ndindex(2, 3, 4):
        times = visible[b, :, i, j].nonzero()[:, 0].numpy()
        expected = np.interp(np.arange(FRAMES), times, values[b, times, 0, i, j].numpy())
        np.testing.assert_allclose(bridged[b, :, 0, i, j].numpy(), expected, atol=1e-5)


def test_encoding_holds_the_papers_37_channels() -> None:
    tracks = turned(50)
    encoding = TrajectoryEncoding(FRAMES, SIZE)
    state = encoding.to_state(tracks, seen(tracks))
    frames = encoding.encode(state).unflatten(1, (FRAMES, ENCODING_CHANNELS))
    assert ENCODING_CHANNELS == 1 + 2 + 2 + 32
    assert torch.equal(frames[:, :, :3].flatten(1, 2), state)
    absolute = 2 * tracks / SIZE - 1
    torch.testing.assert_close(frames[:, :, 3:5], absolute, atol=1e-4, rtol=0)
    # Sine and cosine of one phase lie on a circle, and tell positions apart that differ by a cell.
    fourier = frames[:, :, 5:]
    sine, cosine = fourier.chunk(2, dim=2)
    torch.testing.assert_close(sine**2 + cosine**2, torch.ones_like(sine))
    lowest = torch.sin(math.pi * 0.5 * absolute)
    torch.testing.assert_close(sine[:, :, :2], lowest, atol=1e-4, rtol=0)
    first = fourier[0, 0].flatten(1).T  # [points, 32]
    likeness = first @ first.T / 16
    assert likeness.diagonal().min() > 0.999
    assert (likeness - 2 * torch.eye(len(likeness))).max() < 0.97


@BOTH
def test_network_sees_the_first_frame_as_it_is(diffused: str) -> None:
    encoding = TrajectoryEncoding(FRAMES, SIZE, diffused=diffused)
    tracks = moved(5, 5)
    clean = encoding.diffuse(encoding.to_state(tracks, seen(tracks)))
    noisy = torch.randn_like(clean)
    shown = encoding.network_input(noisy)
    assert shown.shape == (1, 37 * FRAMES, GRID, GRID)
    torch.testing.assert_close(shown[:, :37], encoding.network_input(clean)[:, :37])
    known = encoding.with_first_frame(noisy)
    per_frame = encoding.channels_per_frame
    torch.testing.assert_close(known[:, :per_frame], clean[:, :per_frame])
    assert torch.equal(known[:, per_frame:], noisy[:, per_frame:])


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="two frames"):
        TrajectoryEncoding(1)
    with pytest.raises(ValueError, match="must be one of state, encoding"):
        TrajectoryEncoding(diffused="pixels")
