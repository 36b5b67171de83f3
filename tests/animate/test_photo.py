"""Photos come out upright, at their size or smaller, from every kind of file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

import animate
from animate.photo import read_photo
from tests.animate.photo_files import (
    COLORS,
    ORIENTATION,
    as_stored,
    corners,
    notes,
    plane,
    read,
    save,
)


def test_a_plain_photo_is_as_it_is(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.png", corners())
    photo = read_photo(str(path), max_side=96)
    np.testing.assert_array_equal(photo.pixels, corners())
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.flags.writeable
    assert (photo.path, photo.original_size, photo.notes) == (str(path), (96, 64), ())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_it_is_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = as_stored(corners(192, 128), orientation)
    path = save(tmp_path / f"photo{suffix}", stored, exif=exif, quality=95)
    photo = read_photo(path, max_side=96)
    assert photo.original_size == (192, 128)
    assert photo.pixels.shape == (64, 96, 3)
    places = ((16, 24), (16, 72), (48, 24), (48, 72))
    for (y, x), color in zip(places, COLORS.reshape(4, 3), strict=True):
        np.testing.assert_allclose(photo.pixels[y, x].astype(int), color, atol=8)


def test_damaged_exif_does_no_harm(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.jpg", corners(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read(path).shape == (64, 96, 3)
    exif = Image.Exif()
    exif[ORIENTATION] = 77
    assert read(save(tmp_path / "odd.jpg", corners(), exif=exif)).shape == (64, 96, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(
    "size, expected",
    [
        ((1001, 700), (256, 179)),
        ((300, 4001), (19, 256)),
        ((257, 256), (256, 255)),
        ((40, 30), (40, 30)),
    ],
)
def test_it_is_shrunk_and_never_enlarged(
    tmp_path: Path, suffix: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    # A slanted plane: its value at a place is known at every resolution.
    path = save(tmp_path / f"p{suffix}", plane(*size), quality=98, subsampling=0)
    photo = read_photo(path, max_side=256)
    assert photo.pixels.shape == (expected[1], expected[0], 3)
    assert photo.original_size == size
    inner = (slice(2, -2), slice(2, -2))  # beyond the border there is nothing to average with
    np.testing.assert_allclose(
        photo.pixels[inner].astype(float), plane(*expected)[inner].astype(float), atol=3.5
    )


def test_shrinking_averages(tmp_path: Path) -> None:
    # Stripes of one pixel become the gray between them, without moire.
    stripes = np.zeros((640, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = read(save(tmp_path / "stripes.png", stripes), max_side=96)
    np.testing.assert_allclose(pixels[:, 1:-1], 127.5, atol=2)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif", ".avif"])
def test_the_first_frame_is_taken(tmp_path: Path, suffix: str) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    colors = ((250, 5, 5), (5, 250, 5), (5, 5, 250))
    first, *others = [Image.new("RGB", (48, 32), color) for color in colors]
    options = {} if suffix == ".gif" else {"quality": 95}
    path = save(tmp_path / f"p{suffix}", first, save_all=True, append_images=others, **options)
    np.testing.assert_allclose(read(path).astype(int), np.full((32, 48, 3), colors[0]), atol=8)
    unit = "pages" if suffix == ".tif" else "frames"
    assert notes(path) == f"the first of 3 {unit} is used"


_MEASURED = """
import resource, sys
from animate.photo import read_photo
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photo = read_photo(sys.argv[1], max_side=1024)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(photo.pixels.shape, photo.original_size, photo.pixels[20, 500].tolist(), sep="|")
print((peak - before) // 1024)
"""


def test_a_panorama_is_read_in_little_more_than_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGBA", (20_000, 1_000), (10, 200, 90, 0)).save(path, compress_level=1)
    words = [sys.executable, "-c", _MEASURED, str(path)]
    root = Path(animate.__file__).parents[1]
    run = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    seen, mebibytes = run.stdout.splitlines()
    assert seen == "(51, 1024, 3)|(20000, 1000)|[255, 255, 255]"
    assert int(mebibytes) < 150  # 76 of them are the decoded pixels


def test_strips_join_without_a_seam(tmp_path: Path) -> None:
    # 2400 x 1800 pixels come in several strips, reduced by 4 and then by a fraction.
    pixels = read(save(tmp_path / "photo.png", plane(2400, 1801), compress_level=1), max_side=200)
    expected = plane(200, 150).astype(float)
    np.testing.assert_allclose(pixels[2:-2, 2:-2], expected[2:-2, 2:-2], atol=2)


def test_the_photo_that_comes_along() -> None:
    path = Path(animate.__file__).parent / "assets" / "photo.jpg"
    photo = read_photo(path, max_side=512)
    assert photo.pixels.shape == (300, 451, 3)
    assert photo.notes == ()
    assert path.stat().st_size < 80_000
