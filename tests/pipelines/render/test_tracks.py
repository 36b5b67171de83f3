from __future__ import annotations

import numpy as np
import pytest

from pipelines.render import draw_tracks, rainbow_colors
from pipelines.render.canvas import Canvas, auto_scale, upscale


def still(num_frames: int, height: int = 32, width: int = 40, value: int = 90) -> np.ndarray:
    return np.full((num_frames, height, width, 3), value, dtype=np.uint8)


def change(frame: np.ndarray, value: int = 90) -> np.ndarray:
    return np.abs(frame.astype(float) - value).sum(axis=2)


def centroid(weight: np.ndarray) -> tuple[float, float]:
    """In raster pixels: the centre of the first pixel is at 0.5."""
    rows, columns = np.indices(weight.shape) + 0.5
    total = weight.sum()
    return (columns * weight).sum() / total, (rows * weight).sum() / total


def seen(tracks: np.ndarray) -> np.ndarray:
    return np.ones(tracks.shape[:2], dtype=bool)


@pytest.mark.parametrize("scale", [1, 2, 3, 1.5])
@pytest.mark.parametrize("place", [(11.0, 9.0), (20.5, 15.5), (13.27, 20.81)])
@pytest.mark.parametrize("visible", [True, False])
def test_point_is_drawn_where_it_is(
    place: tuple[float, float], scale: float, visible: bool
) -> None:
    tracks = np.array([[place]], dtype=np.float32)
    flags = np.full((1, 1), visible)
    (frame,) = draw_tracks(still(1), tracks, flags, scale=scale, radius=3.0)
    x, y = centroid(change(frame))
    assert x == pytest.approx(place[0] * scale, abs=0.1)
    assert y == pytest.approx(place[1] * scale, abs=0.1)


def test_tail_segment_is_drawn_where_it_is() -> None:
    ends = np.array([[8.3, 6.1]]), np.array([[30.3, 17.1]])
    for width in (1.4, 3.0):
        canvas = Canvas(32, 40)
        white = np.full((1, 3), 255, np.uint8)
        canvas.segments(*ends, white, np.ones(1), width=width)
        weight = change(canvas.over(still(1)[0]))
        assert centroid(weight) == pytest.approx((19.3, 11.6), abs=0.1)
        area = weight.sum() / (3 * 165)
        assert area / np.hypot(22, 11) == pytest.approx(width, abs=0.35)


def test_disc_has_its_area_and_colour() -> None:
    canvas = Canvas(32, 40)
    canvas.discs(np.array([[20.2, 15.7]]), np.array([[10, 200, 30]], np.uint8), radius=4.0)
    frame = canvas.over(still(1, value=0)[0])
    assert frame[15, 20].tolist() == [10, 200, 30]
    assert frame[..., 1].sum() / 200 == pytest.approx(np.pi * 16, rel=0.03)


def test_picture_and_coordinates_grow_alike() -> None:
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    image[5:9, 12:14] = 200
    for scale in (2, 3, 0.5):
        x, y = centroid(upscale(image, scale).astype(float).sum(axis=2))
        assert (x, y) == pytest.approx((13 * scale, 7 * scale), abs=0.05)
    assert [auto_scale(256, 256), auto_scale(64, 90), auto_scale(1080, 1920)] == [2, 4, 1]


def test_tail_fades_towards_the_past() -> None:
    count, step = 12, 3.0
    x = 3.0 + step * np.arange(count)
    tracks = np.stack([x, np.full(count, 15.5)], axis=1)[None].astype(np.float32)
    frames = list(draw_tracks(still(count), tracks, seen(tracks), tail=8, scale=2, radius=2))
    weight = change(frames[-1])
    middles = ((x[1:] + x[:-1]) / 2 * 2).astype(int)
    along = [weight[26:36, m - 1 : m + 2].sum() for m in middles]
    assert along[:3] == [0, 0, 0]  # 11 segments, of which the last 8 are in the tail
    assert (np.diff(along[3:-1]) > 0).all()
    assert change(frames[0])[:, 12:].sum() == 0  # nothing of the future


def test_no_tail() -> None:
    tracks = np.array([[[5.0, 16.0], [30.0, 16.0]]], dtype=np.float32)
    *_, last = draw_tracks(still(2), tracks, seen(tracks), tail=0, scale=1, radius=2)
    weight = change(last)
    assert weight[:, :24].sum() == 0
    assert weight[:, 26:34].sum() > 0


def test_visible_points_are_filled_and_occluded_ones_hollow() -> None:
    tracks = np.array([[[10.5, 16.5]], [[29.5, 16.5]]], dtype=np.float32)
    visible = np.array([[True], [False]])
    (frame,) = draw_tracks(still(1), tracks, visible, scale=1, radius=4)
    colors = rainbow_colors(tracks[:, 0], (40, 32))
    np.testing.assert_array_equal(frame[16, 10], colors[0])
    assert frame[16, 29].tolist() == [90, 90, 90]  # the picture shows through
    ring = frame[16, 33].astype(float)
    assert np.linalg.norm(ring - colors[1]) < 0.3 * np.linalg.norm(colors[1] - 90.0)


def test_occluded_tail_is_dimmed_or_left_out() -> None:
    tracks = np.array([[[5.0, 8.5], [20.0, 8.5], [35.0, 8.5]]] * 2, dtype=np.float32)
    tracks[1, :, 1] = 24.5
    visible = np.array([[True, True, True], [True, False, True]])

    def tail_weight(show: bool) -> tuple[float, float]:
        *_, last = draw_tracks(still(3), tracks, visible, scale=1, radius=2, show_occluded=show)
        weight = change(last)
        return weight[4:13, 8:30].sum(), weight[20:29, 8:30].sum()

    seen_tail, hidden_tail = tail_weight(True)
    assert 0 < hidden_tail < 0.5 * seen_tail
    assert tail_weight(False) == (seen_tail, 0.0)


def test_occluded_points_can_be_left_out() -> None:
    tracks = np.array([[[10.5, 16.5]]], dtype=np.float32)
    hidden = np.zeros((1, 1), dtype=bool)
    (frame,) = draw_tracks(still(1), tracks, hidden, scale=1, show_occluded=False)
    assert change(frame).sum() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -5.0, 41.0])
@pytest.mark.parametrize("occluded", [False, True])
def test_positions_that_cannot_be_drawn_are_left_out(bad: float, occluded: bool) -> None:
    tracks = np.full((1, 4, 2), 15.0, dtype=np.float32)
    tracks[0, 1:3, 0] = bad
    tracks[0, 3] = 25.0
    visible = np.full((1, 4), not occluded)
    frames = list(draw_tracks(still(4), tracks, visible, scale=1, radius=2))
    assert change(frames[1]).sum() == change(frames[2]).sum() == 0
    x, y = centroid(change(frames[3]))  # the point again, without a tail across the gap
    assert (x, y) == pytest.approx((25.0, 25.0), abs=0.1)


def test_points_on_the_edges_and_corners() -> None:
    corners = np.array([[[0, 0]], [[40, 0]], [[0, 32]], [[40, 32]]], dtype=np.float32)
    (frame,) = draw_tracks(still(1), corners, seen(corners), scale=2, radius=5)
    weight = change(frame) > 0
    assert weight[[0, 0, -1, -1], [0, -1, 0, -1]].all()
    assert not weight[20:44, 20:60].any()


def test_no_tracks_and_only_unknown_tracks() -> None:
    none = np.empty((0, 2, 2), dtype=np.float32)
    unknown = np.full((3, 2, 2), np.nan, dtype=np.float32)
    for tracks in (none, unknown):
        for frame in draw_tracks(still(2), tracks, seen(tracks), scale=1):
            assert change(frame).sum() == 0


def test_video_stays_as_it_is() -> None:
    video = still(3)
    video.setflags(write=False)
    tracks = np.full((1, 3, 2), 12.0, dtype=np.float32)
    assert len(list(draw_tracks(video, tracks, seen(tracks), scale=1))) == 3


def test_at_most_so_many_tracks_and_colours_stay_theirs() -> None:
    y, x = np.mgrid[2:32:4, 2:40:4].astype(np.float32)
    starts = np.stack([x.ravel(), y.ravel()], axis=1)
    tracks = starts[:, None] + 0.5
    colors = rainbow_colors(starts, (40, 32))
    (frame,) = draw_tracks(
        still(1), tracks, seen(tracks), scale=1, radius=1.6, max_tracks=20, starts=starts
    )
    places = starts.astype(int)
    drawn = change(frame)[places[:, 1], places[:, 0]] > 0
    assert drawn.sum() == 20
    middle = frame[places[drawn, 1], places[drawn, 0]]
    np.testing.assert_array_equal(middle, colors[drawn])


def test_chosen_frames_equal_those_of_the_whole_clip() -> None:
    tracks = np.random.default_rng(0).uniform(0, 32, (9, 6, 2)).astype(np.float32)
    every = list(draw_tracks(still(6), tracks, seen(tracks)))
    some = list(draw_tracks(still(6), tracks, seen(tracks), frames=[5, 2]))
    assert every[0].shape == (128, 160, 3)
    np.testing.assert_array_equal(some, [every[5], every[2]])


@pytest.mark.parametrize(
    "change_of, message",
    [
        ({"video": np.zeros((2, 8, 8), np.uint8)}, "video must be"),
        ({"video": np.zeros((2, 8, 8, 3), np.float32)}, "video must be"),
        ({"video": np.zeros((2, 0, 8, 3), np.uint8)}, "empty"),
        ({"tracks": np.zeros((1, 3, 2), np.float32)}, r"tracks must be \[N, 2, 2\]"),
        ({"visible": np.zeros((1, 2), np.float32)}, "visible must be bool"),
        ({"visible": np.zeros((2, 2), bool)}, "visible must be bool"),
        ({"starts": np.zeros((2, 2))}, r"starts must be \[1, 2\]"),
        ({"scale": 0}, "scale"),
        ({"radius": -1.0}, "radius"),
        ({"tail": -1}, "tail"),
        ({"frames": [2]}, "frame 2"),
    ],
)
def test_wrong_arguments_are_named_at_the_call(change_of: dict, message: str) -> None:
    arguments = {
        "video": np.zeros((2, 8, 8, 3), np.uint8),
        "tracks": np.zeros((1, 2, 2), np.float32),
        "visible": np.ones((1, 2), bool),
    } | change_of
    with pytest.raises((ValueError, IndexError), match=message):
        draw_tracks(**arguments)
