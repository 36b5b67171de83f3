"""Clip layout: closed forms, and the mapping back checked on pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.video import ClipSettings, plan_clips, read_clip
from pipelines.video.geometry import Fit, clip_layout, limit_side
from pipelines.video.probe import matrix_rotation
from tests.pipelines.video.video_makers import write_frames


@pytest.mark.parametrize(
    "width, height, fit, rectangle",
    [
        (1280, 720, "crop", (280, 0, 720, 720)),
        (720, 1280, "crop", (0, 280, 720, 720)),
        (512, 512, "crop", (0, 0, 512, 512)),
        (1280, 720, "fit", (0, -280, 1280, 1280)),
        (512, 1024, "fit", (-256, 0, 1024, 1024)),
        (128, 96, "crop", (16.1, 0, 96, 96)),  # window of 256 in a picture 341 wide
    ],
)
def test_rectangles(width: int, height: int, fit: Fit, rectangle: tuple[float, ...]) -> None:
    assert clip_layout(width, height, 256, fit).rectangle == pytest.approx(rectangle, abs=1.5)


@pytest.mark.parametrize("fit", ["crop", "fit"])
@pytest.mark.parametrize("width, height", [(1, 1), (3, 7), (853, 481), (1919, 1079), (300, 31)])
def test_the_rectangle_is_centred_and_within_half_a_pixel(
    width: int, height: int, fit: Fit
) -> None:
    layout = clip_layout(width, height, 64, fit)
    x, y, w, h = layout.rectangle
    pixel = max(w, h) / 64
    assert x + w / 2 == pytest.approx(width / 2, abs=pixel)
    assert y + h / 2 == pytest.approx(height / 2, abs=pixel)
    if fit == "crop":
        assert x >= 0
        assert y >= 0
        assert x + w <= width + 1e-9
        assert y + h <= height + 1e-9
    else:
        assert x <= 0
        assert y <= 0
        assert x + w >= width - 1e-9
        assert y + h >= height - 1e-9


def test_bad_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        clip_layout(0, 5, 64, "crop")
    with pytest.raises(ValueError, match="oblong"):
        clip_layout(5000, 5, 64, "crop")
    with pytest.raises(ValueError, match="unknown fit"):
        clip_layout(5, 5, 64, "squash")  # type: ignore[arg-type]


def test_limit_side() -> None:
    assert limit_side(1920, 1080, 640) == (640, 360)
    assert limit_side(1080, 1920, 640) == (360, 640)
    assert limit_side(320, 200, 640) == (320, 200)
    assert limit_side(320, 200, None) == (320, 200)
    assert limit_side(1000, 1, 10) == (10, 1)


def test_rotation_of_a_matrix() -> None:
    one = 65536
    assert matrix_rotation(one, 0, 0, one) == 0
    assert matrix_rotation(0, one, -one, 0) == 90  # x' = -y, y' = x: right goes down, clockwise
    assert matrix_rotation(-one, 0, 0, -one) == 180
    assert matrix_rotation(0, -one, one, 0) == 270
    assert matrix_rotation(-one, 0, 0, one) == 0  # mirrored left to right: no half turn
    assert matrix_rotation(int(0.8 * one), int(-0.6 * one), int(0.6 * one), int(0.8 * one)) == 0


def spot_frame(width: int, height: int, x: float, y: float) -> np.ndarray:
    """A soft bright spot centred on the raster position (x, y)."""
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    squares = (columns[None] - x) ** 2 + (rows[:, None] - y) ** 2
    return np.repeat((16 + 220 * np.exp(-squares / 32))[..., None], 3, axis=2).astype(np.uint8)


def centroid(picture: np.ndarray) -> tuple[float, float]:
    grey = picture.astype(float).mean(axis=2)
    weight = np.clip(grey - 60, 0, None)
    rows, columns = np.indices(grey.shape) + 0.5
    return (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()


@pytest.mark.parametrize("fit", ["crop", "fit"])
@pytest.mark.parametrize("size", [48, 90, 256])
@pytest.mark.parametrize(
    "width, height, turn", [(160, 96, 0), (161, 95, 0), (96, 160, 0), (160, 96, -90), (161, 95, 90)]
)
def test_clip_pixels_map_back_to_the_source(
    tmp_path: Path, fit: Fit, size: int, width: int, height: int, turn: int
) -> None:
    upright = (height, width) if turn else (width, height)
    x, y = upright[0] * 0.5 + 11.0, upright[1] * 0.5 - 7.5
    picture = spot_frame(*upright, x, y)
    stored = np.rot90(picture, k=-turn // 90)  # a player turns it back by `turn`
    path = write_frames(
        tmp_path / "spot.mkv" if not turn else tmp_path / "spot.mp4",
        [stored] * 3,
        turn=turn,
        pix_fmt="yuv444p",
        options={"crf": "4"},
    )
    spec = plan_clips(str(path), ClipSettings(num_frames=2, size=size, fit=fit)).specs[0]
    info = spec.info
    assert (info.source_width, info.source_height) == upright
    assert info.rotation == (-turn) % 360
    cx, cy = centroid(read_clip(spec)[0])
    found = (
        info.crop_x + cx * info.crop_width / info.width,
        info.crop_y + cy * info.crop_height / info.height,
    )
    assert found == pytest.approx((x, y), abs=0.15)
