"""Real clips: packed, split by source, and the views that teacher and student get of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.training import pack
from pipelines.training.config import SelfTraining
from pipelines.training.real import RealClips, source_of
from pipelines.training.views import make_view, random_affine, warp

_PLAIN = SelfTraining(
    clean_size=32, max_stride=2, min_zoom=1.0, max_zoom=1.0, flip=0, reverse=0, jitter=0, jpeg=0
)


def write_clip(path: Path, frames: int = 9, width: int = 48, height: int = 32) -> None:
    """Frame t is grey of 20 t."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (width, height))
    for t in range(frames):
        video.write(np.full((height, width, 3), 20 * t, np.uint8))
    video.release()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for source in range(12):
        for segment in range(1 + source % 3):
            write_clip(folder / f"walk_{source}__s{segment:02}.avi", frames=9 + segment)
    return folder


def view_of(clips: RealClips, number: int, config: SelfTraining, num_frames: int = 4):  # type: ignore[no-untyped-def]
    return make_view(clips, number, num_frames=num_frames, size=24, num_queries=5, config=config)


def test_a_packed_clip_has_the_frames_of_the_video(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "clips.npz"
    assert pack.main(["--videos", str(folder), "-o", str(target)]) == 0
    clips = RealClips.load(target)
    assert clips.names[0] == "walk_0__s00.avi"
    assert len(clips) == 24
    frames = clips.frames(0)
    assert [round(frame.mean() / 20) for frame in frames] == list(range(9))
    assert frames[0].shape == (32, 48, 3)


def test_clips_that_fit_are_of_many_sources(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "clips.npz"
    whole = sum(path.stat().st_size for path in folder.iterdir())
    limit = (0.7 * whole + 30_000) / 2**20
    words = ["--videos", str(folder), "-o", str(target), "--limit-mib", f"{limit:.4f}"]
    assert pack.main([*words, "--exclude", "walk_2", "--exclude", "walk_11"]) == 0
    clips = RealClips.load(target)
    assert target.stat().st_size <= limit * 2**20
    assert set(clips.sources) == {f"walk_{i}" for i in range(12)} - {"walk_2", "walk_11"}
    assert len(clips) < 24


def test_an_excluded_source_must_be_there(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--videos", str(folder), "-o", str(tmp_path / "c.npz"), "--exclude", "wlak_2"]
    assert pack.main(words) == 1
    assert "no source 'wlak_2'" in capsys.readouterr().err


def test_a_source_is_on_one_side(folder: Path) -> None:
    clips = RealClips.from_folder(folder)
    train, held_out = clips.split(0.3)
    assert sorted([*train.names, *held_out.names]) == sorted(clips.names)
    assert not set(train.sources) & set(held_out.sources)
    assert source_of("a_b__s01.mp4") == "a_b"
    assert source_of("single.mp4") == "single"
    assert set(clips.split(0.0)[1].sources) <= set(held_out.sources)
    with pytest.raises(ValueError, match="give more videos"):
        clips.fitting(1 << 30, [f"walk_{i}" for i in range(1, 12)]).split()


def test_other_files_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("no file of arrays")
    for name in ("other.npz", "text.npz"):
        with pytest.raises(ValueError, match="holds no packed videos") as caught:
            RealClips.load(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    broken = RealClips(["broken.avi"], [np.arange(200, dtype=np.uint8)])
    with pytest.raises(ValueError, match=r"broken.avi cannot be decoded"):
        broken.frames(0)


def test_a_view_depends_on_its_number_alone(folder: Path) -> None:
    clips = RealClips.from_folder(folder)
    config = SelfTraining(clean_size=32)
    one, same, other = (view_of(clips, number, config) for number in (5, 5, 6))
    for name, value in vars(one).items():
        np.testing.assert_array_equal(getattr(same, name), value)
    assert not np.array_equal(one.student, other.student)
    assert one.clean.shape == (4, 32, 32, 3)
    assert one.student.shape == (4, 24, 24, 3)
    assert one.affine.shape == (4, 2, 3)
    assert (one.asked >= 0).all()
    assert (one.asked[:, 0] == np.floor(one.asked[:, 0])).all()
    assert (one.asked < (4, 32, 32)).all()


def test_frames_are_equally_far_apart(folder: Path) -> None:
    clips = RealClips.from_folder(folder)
    strides = set()
    for number in range(30):
        levels = view_of(clips, number, _PLAIN).clean.mean((1, 2, 3)) / 20
        steps = np.diff(np.round(levels))
        assert (steps == steps[0]).all()
        strides.add(int(steps[0]))
    assert strides == {1, 2}


def test_a_short_clip_goes_back_and_forth(folder: Path) -> None:
    clips = RealClips.from_folder(folder).fitting(1 << 30, [f"walk_{i}" for i in range(1, 12)])
    levels = np.round(view_of(clips, 0, _PLAIN, num_frames=20).clean.mean((1, 2, 3)) / 20)
    assert set(np.abs(np.diff(levels))) == {1}
    assert levels.max() == 8
    assert levels.min() == 0


def test_the_plain_view_is_the_clip_made_smaller(folder: Path) -> None:
    view = view_of(RealClips.from_folder(folder), 3, _PLAIN)
    np.testing.assert_allclose(view.affine, [[[0.75, 0, 0], [0, 0.75, 0]]] * 4, atol=1e-6)
    inner = view.student[:, 2:-2, 2:-2].mean((1, 2, 3))
    np.testing.assert_allclose(inner, view.clean.mean((1, 2, 3)), atol=1)


def test_a_marked_point_lands_where_the_map_says() -> None:
    # A blob in raster coordinates: the centre of pixel (x, y) is at (x + 0.5, y + 0.5).
    y, x = np.mgrid[:64, :64] + 0.5
    blob = 255 * np.exp(-((x - 40) ** 2 + (y - 22) ** 2) / 18)
    frame = np.repeat(blob[..., None], 3, axis=2).astype(np.uint8)
    for number in range(20):
        rng = np.random.default_rng(number)
        config = SelfTraining(min_zoom=0.6, max_zoom=1.3)
        affine = random_affine(rng, 3, 64, 48, config)[number % 3]
        found = warp(frame, affine, 48).astype(float)[..., 0]
        expected = affine @ (40, 22, 1)
        if not ((expected > 8) & (expected < 40)).all():
            continue
        rows, columns = np.mgrid[:48, :48] + 0.5
        centre = np.array([(found * columns).sum(), (found * rows).sum()]) / found.sum()
        np.testing.assert_allclose(centre, expected, atol=0.25)


def test_zooms_and_borders() -> None:
    corners = np.array([[0, 0, 1], [64, 64, 1]])
    for number in range(50):
        rng = np.random.default_rng(number)
        zoomed = random_affine(rng, 5, 64, 48, SelfTraining(min_zoom=1.0, max_zoom=3.0, flip=0))
        # Zoomed in, the clip covers the view in every frame; zoomed out, it lies within.
        for affine in zoomed:
            low, high = corners @ affine.T
            assert (low <= 1e-9).all()
            assert (high >= 48 - 1e-9).all()
        small = random_affine(rng, 5, 64, 48, SelfTraining(min_zoom=0.5, max_zoom=1.0, flip=0))
        for affine in small:
            low, high = corners @ affine.T
            assert (low >= -1e-9).all()
            assert (high <= 48 + 1e-9).all()
    mirrored = random_affine(np.random.default_rng(0), 5, 64, 48, SelfTraining(flip=1))
    assert (mirrored[:, 0, 0] < 0).all()
    assert (mirrored[:, 1, 1] > 0).all()
