from __future__ import annotations

import numpy as np

from pipelines.evaluation import TruthClip, evaluate, lucas_kanade, stand_still
from pipelines.synthetic import SyntheticConfig, TextureBank, make_clip


def panning_video(step: tuple[float, float], num_frames: int = 6) -> np.ndarray:
    """A window that moves over a photo by whole pixels: surface points move by -step."""
    photo = TextureBank.procedural(2, count=1, size=256).photos[0]
    corners = [(60 + round(t * step[0]), 60 + round(t * step[1])) for t in range(num_frames)]
    return np.stack([photo[y : y + 96, x : x + 128] for x, y in corners])


def test_standing_still() -> None:
    queries = np.array([[2, 10.5, 20.5], [0, 1, 2]], np.float32)
    tracks, occluded = stand_still(queries, 4)
    assert tracks.shape == (2, 4, 2)
    assert (tracks == np.array([[[20.5, 10.5]], [[2, 1]]])).all()
    assert not occluded.any()


def test_lucas_kanade_follows_a_known_shift_onwards_and_back() -> None:
    video = panning_video((3, -2))
    y, x = np.mgrid[30:70:10, 40:90:10].reshape(2, -1) + 0.5
    queries = np.stack([np.full(len(x), 3.0), y, x], axis=1).astype(np.float32)
    tracks, occluded = lucas_kanade(video, queries)
    shift = (np.arange(6) - 3)[:, None] * (-3, 2)
    expected = queries[:, None, :0:-1] + shift
    seen = ~occluded
    assert seen.mean() > 0.9
    assert np.abs(tracks - expected)[seen].max() < 0.3
    assert np.array_equal(tracks[:, 3], queries[:, :0:-1])


def test_points_that_leave_the_frame_stay_lost() -> None:
    video = panning_video((10, 0), num_frames=7)
    queries = np.array([[0, 48.5, 25.5], [0, 48.5, 110.5]], np.float32)
    tracks, occluded = lucas_kanade(video, queries)
    assert occluded[0, 3:].all()  # leaves after two and a half frames
    assert (tracks[0, 4:] == tracks[0, 4]).all()
    assert not occluded[1, :6].any()


def test_a_scene_change_loses_everything() -> None:
    photos = TextureBank.procedural(3, count=2, size=128).photos
    video = np.stack([photos[0], photos[0], photos[1], photos[1]])
    y, x = np.mgrid[16:112:12, 16:112:12].reshape(2, -1) + 0.5
    queries = np.stack([np.zeros(len(x)), y, x], axis=1).astype(np.float32)
    _, occluded = lucas_kanade(video, queries)
    assert not occluded[:, :2].any()
    assert occluded[:, 2:].mean() > 0.9
    # Once lost, a point stays lost.
    assert not (occluded[:, 2] & ~occluded[:, 3]).any()


def test_lucas_kanade_beats_standing_still_on_moving_scenes() -> None:
    config = SyntheticConfig(num_frames=8, height=96, width=96, num_queries=48)
    textures = TextureBank.procedural(5, count=8)
    made = [make_clip(seed, config, textures) for seed in range(4)]
    clips = [TruthClip(clip.video, clip.queries, clip.tracks, clip.occluded) for clip in made]
    flow = evaluate(lucas_kanade, clips, "strided")
    still = evaluate(lambda video, queries: stand_still(queries, len(video)), clips, "strided")
    assert flow.average_pts_within > still.average_pts_within + 0.15
    assert flow.average_jaccard > still.average_jaccard
    assert flow.num_clips == 4
