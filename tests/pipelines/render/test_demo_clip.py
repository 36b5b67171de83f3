from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipelines.render import DemoClip, demo_clip
from pipelines.render.demo_clip import Layer, Motion, render_layers


@pytest.fixture(scope="module")
def clip() -> DemoClip:
    return demo_clip(num_frames=24, height=160, width=208, seed=3)


def grid(clip: DemoClip, t: float, step: int = 8) -> np.ndarray:
    _, height, width = clip.video.shape[:3]
    y, x = np.mgrid[step / 2 : height : step, step / 2 : width : step]
    return np.stack([np.full(y.size, t), y.ravel(), x.ravel()], axis=1).astype(np.float32)


def sample(frame: np.ndarray, places: np.ndarray) -> np.ndarray:
    centers = (places - 0.5).astype(np.float32)[:, None]
    return cv2.remap(frame, centers, None, cv2.INTER_LINEAR)[:, 0].astype(float)


def level_of(clip: DemoClip, queries: np.ndarray, level: int) -> np.ndarray:
    """Well inside one layer at the time of the query, by the layer's own outline."""
    layer = clip.layers[level]
    matrix = layer.motion.matrix(queries[0, 0] / (len(clip.video) - 1))
    local = (queries[:, :0:-1] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return layer.depth_inside(local) > 3


def test_same_arguments_same_frames() -> None:
    first, again, other = (demo_clip(3, 48, 64, seed) for seed in (1, 1, 2))
    assert first.video.shape == (3, 48, 64, 3)
    assert first.video.dtype == np.uint8
    assert first.fps == 24
    np.testing.assert_array_equal(first.video, again.video)
    assert (first.video != other.video).mean() > 0.9


@pytest.mark.parametrize("t", [0.0, 11.0, 23.0, 7.5])
def test_tracks_pass_through_their_queries(clip: DemoClip, t: float) -> None:
    queries = grid(clip, t)
    tracks, visible = clip.truth(queries)
    assert tracks.shape == (len(queries), 24, 2)
    assert tracks.dtype == np.float32
    if t == int(t):
        np.testing.assert_allclose(tracks[:, int(t)], queries[:, :0:-1], atol=1e-3)
        assert visible[:, int(t)].all()
    else:
        middle = (tracks[:, 7] + tracks[:, 8]) / 2
        assert np.abs(middle - queries[:, :0:-1]).max() < 0.15


def test_motion_in_closed_form() -> None:
    half_turn = Motion((10, 20), (30, 0), (0, 5), angle=0.0, turn=np.pi, zoom=4.0)
    np.testing.assert_allclose(half_turn.matrix(0.0), [[1, 0, 10], [0, 1, 20]], atol=1e-12)
    # In the middle: a quarter turn from x towards y, twice the size, bow at its widest.
    np.testing.assert_allclose(half_turn.matrix(0.5), [[0, -2, 25], [2, 0, 25]], atol=1e-12)
    np.testing.assert_allclose(half_turn.matrix(1.0), [[-4, 0, 40], [0, -4, 20]], atol=1e-12)


def test_truth_in_closed_form() -> None:
    texture = np.zeros((64, 64, 3), np.uint8)
    back = Layer(texture, Motion((16, 16), travel=(8, 4)))
    front = Layer(texture, Motion((4, 16), travel=(24, 0)), radius=4.0)
    clip = DemoClip(np.zeros((9, 32, 32, 3), np.uint8), 24.0, (back, front))
    queries = np.array([[0, 16, 16], [0, 16, 4], [8, 30, 30], [4, 17, 17]], np.float32)
    tracks, visible = clip.truth(queries)
    t = np.arange(9)
    np.testing.assert_allclose(tracks[0], np.stack([16 + t, 16 + t / 2], axis=1))
    np.testing.assert_allclose(tracks[1], np.stack([4 + 3 * t, 16 + 0 * t], axis=1))
    np.testing.assert_allclose(tracks[2], np.stack([22 + t, 26 + t / 2], axis=1))
    # The disc is centred at (4 + 3 t, 16): over the first point while (12 - 2t)² + t²/4 <= 16.
    assert visible[0].tolist() == ((12 - 2 * t) ** 2 + t**2 / 4 > 16).tolist()
    assert visible[1].all()
    assert visible[2].all()
    # At frame 4 the disc covers (17, 17): the query is the disc's.
    np.testing.assert_allclose(tracks[3], np.stack([5 + 3 * t, 17 + 0 * t], axis=1))


def test_point_outside_the_frame_is_not_visible() -> None:
    layer = Layer(np.zeros((64, 64, 3), np.uint8), Motion((16, 16), travel=(10, 0)))
    clip = DemoClip(np.zeros((11, 32, 32, 3), np.uint8), 24.0, (layer,))
    tracks, visible = clip.truth(np.array([[0, 8, 28]], np.float32))
    np.testing.assert_allclose(tracks[0, -1], [38, 8])
    assert visible[0].tolist() == [True] * 5 + [False] * 6


def test_pixels_are_drawn_where_the_truth_says() -> None:
    texture = np.zeros((61, 61, 3), np.uint8)
    texture[40:43, 20:23] = 255  # its middle: 9 left of and 11 below that of the texture
    layer = Layer(texture, Motion((31.3, 33.8), (5, -3), angle=0.4, turn=0.7, zoom=1.3))
    for shape in (layer, replace(layer, radius=28.0)):
        for p in (0.0, 0.35, 1.0):
            frame = render_layers((shape,), p, 72, 64).astype(float).sum(axis=2)
            rows, columns = np.indices(frame.shape) + 0.5
            x, y = shape.motion.matrix(p) @ (-9, 11, 1)
            assert (columns * frame).sum() / frame.sum() == pytest.approx(x, abs=0.05)
            assert (rows * frame).sum() / frame.sum() == pytest.approx(y, abs=0.05)


def test_outline_is_drawn_where_the_truth_says() -> None:
    motion = Motion((30.2, 33.1), angle=0.5)
    texture = np.full((80, 80, 3), 255, np.uint8)
    shape = Layer(texture, motion, radius=18.0, lobes=5, wave=0.2)
    black = Layer(np.zeros((8, 8, 3), np.uint8), Motion((0, 0)))
    frame = render_layers((black, shape), 0.0, 64, 64)
    clip = DemoClip(frame[None], 24.0, (black, shape))
    y, x = np.mgrid[0:64, 0:64] + 0.5
    queries = np.stack([np.zeros(y.size), y.ravel(), x.ravel()], axis=1)
    tracks, _ = clip.truth(queries)
    local = (queries[:, :0:-1] - motion.matrix(0)[:, 2]) @ np.linalg.inv(motion.matrix(0)[:, :2]).T
    inside = (shape.depth_inside(local) >= 0).reshape(64, 64)
    lit = frame[..., 0] > 70  # half of the rim's brightness
    assert (inside != lit).mean() < 0.01
    # Area in closed form: pi r² (1 + wave² / 2).
    assert inside.sum() == pytest.approx(np.pi * 18**2 * 1.02, rel=0.01)
    assert tracks.shape == (4096, 1, 2)


def test_colours_stay_along_visible_tracks(clip: DemoClip) -> None:
    queries = grid(clip, 0.0)
    tracks, visible = clip.truth(queries)
    still_error, true_error = [], []
    for level in range(len(clip.layers)):
        own = level_of(clip, queries, level)
        for above in range(level + 1, len(clip.layers)):
            own &= ~level_of(clip, queries, above)
        begin = sample(clip.video[0], tracks[own, 0])
        for t in (6, 14, 23):
            seen = visible[own, t]
            there = sample(clip.video[t], tracks[own, t])[seen]
            here = sample(clip.video[t], tracks[own, 0])[seen]
            true_error.append(np.abs(there - begin[seen]).mean(axis=1))
            still_error.append(np.abs(here - begin[seen]).mean(axis=1))
    true_median = np.median(np.concatenate(true_error))
    assert true_median < 0.3 * np.median(np.concatenate(still_error))
    assert true_median < 8


def test_hidden_points_show_another_colour_or_none(clip: DemoClip) -> None:
    queries = grid(clip, 0.0)
    tracks, visible = clip.truth(queries)
    blue = level_of(clip, queries, 1)
    t = 12
    hidden = blue & ~visible[:, t]
    assert hidden.sum() > 10  # the red shape passes in front
    assert (blue & visible[:, t]).sum() > 3
    pixels = sample(clip.video[t], tracks[hidden, t])
    assert (pixels[:, 0] > pixels[:, 2]).mean() > 0.9
    assert visible[blue][:, -1].mean() > 0.7  # and is past it at the end


def test_optical_flow_agrees_with_the_truth(clip: DemoClip) -> None:
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.video]
    for t in (0, 15):
        tracks, visible = clip.truth(grid(clip, t, step=12))
        now = (tracks[:, t] - 0.5).astype(np.float32)
        flow, found, _ = cv2.calcOpticalFlowPyrLK(
            grey[t], grey[t + 1], now, None, winSize=(11, 11), maxLevel=2
        )
        good = (found[:, 0] == 1) & visible[:, t + 1]
        error = np.linalg.norm(flow + 0.5 - tracks[:, t + 1], axis=1)[good]
        assert good.sum() > 150
        assert np.median(error) < 0.05


def test_texture_has_detail_everywhere(clip: DemoClip) -> None:
    grey = cv2.cvtColor(clip.video[0], cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = cv2.blur(grey, (15, 15))
    deviation = np.sqrt(np.maximum(cv2.blur(grey**2, (15, 15)) - mean**2, 0))
    assert np.percentile(deviation, 2) > 4
    assert 60 < grey.mean() < 190


def test_single_frame_and_odd_sizes() -> None:
    clip = demo_clip(1, 33, 71)
    assert clip.video.shape == (1, 33, 71, 3)
    tracks, visible = clip.truth(np.array([[0, 33, 71], [0, 0, 0]], np.float32))
    np.testing.assert_allclose(tracks[:, 0], [[71, 33], [0, 0]], atol=1e-4)
    assert visible.all()


@pytest.mark.parametrize(
    "queries", [[[0, 5]], [[-1, 5, 5]], [[24, 5, 5]], [[0, 161, 5]], [[0, 5, np.nan]]]
)
def test_queries_outside_the_clip_are_refused(clip: DemoClip, queries: list) -> None:
    with pytest.raises(ValueError, match="queries"):
        clip.truth(np.array(queries, np.float32))


def test_impossible_sizes_are_refused() -> None:
    for arguments in ((0, 64, 64), (3, 8, 64)):
        with pytest.raises(ValueError, match="at least 1 frame"):
            demo_clip(*arguments)
