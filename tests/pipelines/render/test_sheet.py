from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.render import (
    Panel,
    clip_panels,
    contact_sheet,
    grid_sheet,
    save_image,
)


def plain(height: int, width: int, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_sheet_holds_every_panel_unchanged() -> None:
    rows = [[Panel(plain(40, 60, 10 * (3 * r + c) + 60)) for c in range(3)] for r in range(2)]
    sheet = contact_sheet(rows)
    assert sheet.shape == (2 * 16 + 2 * 40 + 10, 2 * 16 + 3 * 60 + 2 * 10, 3)
    for r in range(2):
        for c in range(3):
            part = sheet[16 + 50 * r : 56 + 50 * r, 16 + 70 * c : 76 + 70 * c]
            assert (part == 10 * (3 * r + c) + 60).all()


def test_captions_and_title_make_room_for_themselves() -> None:
    bare = contact_sheet([[Panel(plain(40, 120))]])
    one = contact_sheet([[Panel(plain(40, 120), "clip 7")]])
    two = contact_sheet([[Panel(plain(40, 120), "clip 7\nmotion 1.2"), Panel(plain(40, 120))]])
    titled = contact_sheet([[Panel(plain(40, 120), "clip 7")]], title="All clips")
    line = one.shape[0] - bare.shape[0]
    assert line > 10
    assert two.shape[0] - bare.shape[0] == 2 * line
    assert titled.shape[0] > one.shape[0]
    assert titled.shape[1] == one.shape[1]
    assert np.ptp(one[16 + 40 : 16 + 40 + line].astype(int)) > 100  # there is writing


def test_long_captions_are_cut_to_the_panel() -> None:
    panels = [Panel(plain(40, 100), "a_very_long_name_of_a_video_file_0001.mp4 " * 4)]
    sheet = contact_sheet([[*panels, Panel(plain(40, 100))]])
    below = sheet[16 + 40 :, 16 + 100 : 16 + 110]
    assert np.ptp(below.reshape(-1, 3).astype(int), axis=0).max() == 0
    contact_sheet([[Panel(plain(8, 8), "no room at all")]], title="none either")
    contact_sheet([[Panel(plain(40, 100), "видео 動画 \x00 \t 🎬")]])


def test_pictures_are_fitted_without_change_of_proportion() -> None:
    sheet = contact_sheet([[Panel(plain(50, 200))]], panel_size=(100, 100))
    box = sheet[16:116, 16:116]
    bright = (box == 200).all(axis=2)
    assert bright.sum() == 25 * 100
    assert bright[37:62].all() or bright[38:63].all()


def test_grid_of_many_clips() -> None:
    panels = [Panel(plain(256, 256), f"clip {n}") for n in range(7)]
    sheet = grid_sheet(panels, columns=3, panel_size=(64, 64), title="seven")
    assert sheet.shape[1] == 2 * 16 + 3 * 64 + 2 * 10
    assert (sheet == 200).all(axis=2).sum() >= 7 * 64 * 64
    assert grid_sheet(panels[:2], columns=5, panel_size=(64, 64)).shape[1] == 32 + 2 * 64 + 10


def test_what_is_no_picture_is_named() -> None:
    with pytest.raises(ValueError, match="at least one panel"):
        contact_sheet([])
    with pytest.raises(ValueError, match="at least one panel"):
        grid_sheet([])
    with pytest.raises(ValueError, match="columns"):
        grid_sheet([Panel(plain(4, 4))], columns=0)
    with pytest.raises(ValueError, match="'clip 3' must be uint8 RGB"):
        contact_sheet([[Panel(np.zeros((4, 4), np.uint8), "clip 3")]])


@pytest.mark.parametrize("num_frames, expected", [(9, 4), (2, 3), (1, 2)])
def test_panels_of_a_clip(num_frames: int, expected: int) -> None:
    video = np.full((num_frames, 64, 64, 3), 50, np.uint8)
    tracks = np.full((1, num_frames, 2), 32.0, np.float32)
    panels = clip_panels(video, tracks, np.ones((1, num_frames), bool), scale=1)
    assert len(panels) == expected
    assert all(panel.image.shape == (64, 64, 3) and panel.caption for panel in panels)
    assert all(np.ptp(panel.image) > 0 for panel in panels)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".PNG"])
def test_picture_is_saved_whole_and_alone(tmp_path: Path, suffix: str) -> None:
    image = plain(20, 30)
    image[:, :15] = (200, 40, 40)
    path = save_image(tmp_path / f"sheet{suffix}", image)
    assert [p.name for p in tmp_path.iterdir()] == [f"sheet{suffix}"]
    with Image.open(path) as saved:
        read = np.asarray(saved.convert("RGB")).astype(int)
    assert np.abs(read - image).max() <= (0 if suffix.lower() == ".png" else 60)
    assert np.abs(read - image).mean() < 6


def test_failed_save_keeps_the_old_picture_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_image(tmp_path / "sheet.png", plain(4, 4))
    before = path.read_bytes()

    def full_disk(self: Image.Image, fp: Path, **options: object) -> None:
        Path(fp).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_image(path, plain(8, 8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_suffix_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"sheet\.gif.*\.png"):
        save_image(tmp_path / "sheet.gif", plain(4, 4))
    with pytest.raises(OSError):
        save_image(tmp_path / "missing" / "sheet.png", plain(4, 4))
    assert list(tmp_path.iterdir()) == []
