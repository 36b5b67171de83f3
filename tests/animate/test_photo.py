"""Photos that the tests make themselves, so that what must come out is known."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, features

import animate
from animate.photo import MAX_PIXELS, PhotoError, read_photo
from tests.animate.icc_profiles import (
    BLUE,
    GREEN,
    RED,
    cmyk_of_lightness,
    linear_gray,
    linear_rgb,
)

COLORS = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [200, 200, 30]]], np.uint8)
ORIENTATION = 0x0112


def corners(width: int = 96, height: int = 64) -> np.ndarray:
    """Red, green / blue, yellow quarters."""
    return COLORS.repeat(height // 2, axis=0).repeat(width // 2, axis=1)


# Which sides of the scene row 0 and column 0 of the stored picture are, by orientation tag.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera held that way stores."""
    sides = SIDES[orientation]
    scene = upright[::-1] if "bottom" in sides else upright
    scene = scene[:, ::-1] if "right" in sides else scene
    return np.ascontiguousarray(scene if sides[0] in ("top", "bottom") else scene.swapaxes(0, 1))


def save(path: Path, pixels: Any, **options: Any) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def read(path: Path, max_side: int = 256) -> np.ndarray:
    return read_photo(path, max_side=max_side).pixels


def notes(path: Path) -> str:
    return "; ".join(read_photo(path, max_side=256).notes)


def complaint(path: Path, max_side: int = 256) -> str:
    """The error, which is one line that begins with the file's name."""
    with pytest.raises(PhotoError) as error:
        read_photo(path, max_side=max_side)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


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


def plane(width: int, height: int) -> np.ndarray:
    """0 to 255 from left to right in red, from top to bottom in green."""
    y, x = np.mgrid[:height, :width] + 0.5
    colors = np.stack([255 * x / width, 255 * y / height, 0 * x + 90], axis=-1)
    return colors.round().astype(np.uint8)


def test_shrinking_averages(tmp_path: Path) -> None:
    # Stripes of one pixel become the gray between them, without moire.
    stripes = np.zeros((640, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = read(save(tmp_path / "stripes.png", stripes), max_side=96)
    np.testing.assert_allclose(pixels[:, 1:-1], 127.5, atol=2)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"])
def test_every_mode_of_a_tiff_is_read(tmp_path: Path, mode: str) -> None:
    black_and_white = Image.fromarray(corners()[..., 1] > 100)
    image = black_and_white.convert("L").convert("RGB")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)
    else:
        image = image.convert("L" if mode in "IF" else "RGB").convert(mode)
    # Pillow cannot read the uncompressed YCbCr that it writes.
    options = {"compression": "jpeg", "quality": 95} if mode == "YCbCr" else {}
    pixels = read(save(tmp_path / "photo.tif", image, **options))
    expected = np.asarray(black_and_white.convert("RGB"))
    np.testing.assert_allclose(pixels.astype(int), expected, atol=2)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_red_stays_red(tmp_path: Path, suffix: str) -> None:
    red = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    path = save(tmp_path / f"red{suffix}", red)
    np.testing.assert_allclose(read(path).astype(int), np.full((40, 40, 3), (255, 0, 0)), atol=3)
    assert "CMYK without a colour profile: the colours are approximate" in notes(path)


def test_cmyk_goes_by_its_profile(tmp_path: Path) -> None:
    # The naive conversion would show red: with these inks it is black, and white paper is white.
    inks = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    inks.paste((0, 0, 0, 0), (20, 0, 40, 40))
    path = save(tmp_path / "inks.tif", inks, icc_profile=cmyk_of_lightness())
    pixels = read(path).astype(int)
    np.testing.assert_allclose(pixels[:, :20], 0, atol=2)
    np.testing.assert_allclose(pixels[:, 20:], 255, atol=2)
    assert notes(path) == ""


def in_srgb(light: float) -> float:
    """0 to 255 of a share of light."""
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_other_colour_spaces_become_srgb(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGB", (40, 40), (55, 128, 20))
    options = {"lossless": True} if suffix == ".webp" else {"quality": 100, "subsampling": 0}
    path = save(tmp_path / f"linear{suffix}", image, icc_profile=linear_rgb(), **options)
    expected = [in_srgb(value / 255) for value in (55, 128, 20)]
    np.testing.assert_allclose(read(path)[20, 20].astype(float), expected, atol=3)
    assert notes(path) == ""


def test_primaries_of_a_profile_count(tmp_path: Path) -> None:
    swapped = linear_rgb((BLUE, GREEN, RED))
    path = save(tmp_path / "p.png", Image.new("RGB", (40, 40), (255, 0, 0)), icc_profile=swapped)
    np.testing.assert_allclose(read(path)[0, 0].astype(int), (0, 0, 255), atol=2)


def test_gray_and_transparent_pictures_go_by_their_profiles(tmp_path: Path) -> None:
    gray = save(tmp_path / "g.png", Image.new("L", (40, 40), 55), icc_profile=linear_gray())
    np.testing.assert_allclose(read(gray).astype(float), in_srgb(55 / 255), atol=1.5)
    mixed = save(tmp_path / "m.png", Image.new("L", (40, 40), 55), icc_profile=linear_rgb())
    np.testing.assert_allclose(read(mixed).astype(float), in_srgb(55 / 255), atol=1.5)
    image = Image.new("RGBA", (40, 40), (55, 55, 55, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    clear = read(save(tmp_path / "c.png", image, icc_profile=linear_rgb())).astype(float)
    np.testing.assert_allclose(clear[20, 20], in_srgb(55 / 255), atol=1.5)
    np.testing.assert_array_equal(clear[0, 0], 255)


def test_srgb_that_says_so_is_not_touched(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = save(tmp_path / "photo.png", plane(80, 60), icc_profile=profile)
    np.testing.assert_array_equal(read(path), plane(80, 60))


@pytest.mark.parametrize("profile", [b"no profile", linear_rgb()[:200], cmyk_of_lightness()])
def test_a_profile_that_does_not_fit_is_ignored(tmp_path: Path, profile: bytes) -> None:
    path = save(tmp_path / "photo.png", corners(), icc_profile=profile)
    np.testing.assert_array_equal(read(path), corners())
    assert "colour profile is damaged or not for its kind of colours: ignored" in notes(path)


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    pixels = np.dstack((corners(), np.full((64, 96), 255, np.uint8)))
    pixels[:32, :48, 3], pixels[32:, 48:, 3] = 0, 102
    path = save(tmp_path / "photo.png", pixels)
    expected = corners().astype(float)
    expected[:32, :48] = 255
    expected[32:, 48:] = expected[32:, 48:] * 0.4 + 255 * 0.6
    np.testing.assert_allclose(read(path).astype(float), expected, atol=1)
    assert notes(path) == "transparent parts are laid on white"


def test_transparency_does_not_bleed_when_shrunk(tmp_path: Path) -> None:
    # What is hidden under full transparency has any colour; it must not show at the edges.
    pixels = np.zeros((512, 768, 4), np.uint8)
    pixels[..., 2], pixels[:, 300:] = 255, (255, 255, 255, 255)
    np.testing.assert_array_equal(read(save(tmp_path / "photo.png", pixels)), 255)


def test_opaque_alpha_is_not_worth_a_note(tmp_path: Path) -> None:
    pixels = np.dstack((corners(), np.full((64, 96), 255, np.uint8)))
    path = save(tmp_path / "photo.png", pixels)
    np.testing.assert_array_equal(read(path), corners())
    assert notes(path) == ""


def test_all_kinds_of_transparency(tmp_path: Path) -> None:
    gray = np.dstack((np.full((40, 40), 80, np.uint8), np.zeros((40, 40), np.uint8)))
    gray[20:, :, 1] = 255
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([9, 9, 9, 80, 80, 80])
    palette.paste(1, (0, 20, 40, 40))
    rgb = Image.fromarray(np.full((40, 40, 3), 80, np.uint8))
    rgb.paste((1, 2, 3), (0, 0, 40, 20))
    paths = [
        save(tmp_path / "la.png", Image.fromarray(gray, "LA")),
        save(tmp_path / "p.png", palette, transparency=0),
        save(tmp_path / "p2.png", palette, transparency=bytes([0, 255])),
        save(tmp_path / "p.gif", palette, transparency=0),
        save(tmp_path / "rgb.png", rgb, transparency=(1, 2, 3)),
        save(tmp_path / "l.png", rgb.convert("L"), transparency=rgb.convert("L").getpixel((0, 0))),
    ]
    for path in paths:
        pixels = read(path)
        assert (pixels[:20] == 255).all(), path
        assert (pixels[20:] == 80).all(), path
        assert notes(path) == "transparent parts are laid on white"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_16_bits_are_kept_in_proportion(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, 256 * 40).astype(np.uint16).reshape(40, 256)
    path = save(tmp_path / f"ramp{suffix}", ramp)
    np.testing.assert_allclose(read(path), (ramp / 257).round()[..., None].repeat(3, 2), atol=1)
    assert notes(path) == "16-bit gray: 65535 is white"


def test_12_bits_in_16_are_not_left_dark(tmp_path: Path) -> None:
    ramp = np.linspace(0, 4000, 256 * 40).astype(np.uint16).reshape(40, 256)
    path = save(tmp_path / "ramp.png", ramp)
    np.testing.assert_allclose(read(path)[..., 0], ramp / 4000 * 255, atol=1)
    assert notes(path) == "16-bit gray that is used up to 4000: that is white"
    black = save(tmp_path / "black.png", np.zeros((40, 40), np.uint16))
    assert not read(black).any()


@pytest.mark.parametrize(
    "low, high, black, white, note",
    [
        (0, 1, 0, 1, "1 is white"),
        (0.2, 0.5, 0, 1, "1 is white"),
        (0, 250, 0, 255, "255 is white"),
        (-40, 60, -39.5, 59.5, "real numbers: -39.5 is black, 59.5 is white"),
        (0, 10, 0.05, 9.95, "real numbers: 0.05 is black, 9.95 is white"),
    ],
)
def test_real_numbers(
    tmp_path: Path, low: float, high: float, black: float, white: float, note: str
) -> None:
    ramp = np.linspace(low, high, 256 * 40, dtype=np.float32).reshape(40, 256)
    path = save(tmp_path / "ramp.tif", ramp)
    expected = ((ramp - black) / (white - black) * 255).clip(0, 255)
    np.testing.assert_allclose(read(path)[..., 0], expected, atol=1)
    assert note in notes(path)


def test_what_is_no_number_is_black(tmp_path: Path) -> None:
    values = np.full((40, 40), 0.5, np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    path = save(tmp_path / "photo.tif", values)
    np.testing.assert_array_equal(read(path)[0, :4, 0], (0, 255, 0, 128))
    assert "1 values that are not numbers are black" in notes(path)
    nothing = save(tmp_path / "nan.tif", np.full((40, 40), np.nan, np.float32))
    assert not read(nothing).any()


def test_32_bit_integers_span_black_to_white(tmp_path: Path) -> None:
    ramp = np.linspace(-1e6, 1e6, 256 * 40).astype(np.int32).reshape(40, 256)
    path = save(tmp_path / "ramp.tif", ramp)
    np.testing.assert_allclose(read(path)[..., 0], (ramp / 1e6 + 1) * 127.5, atol=1)
    assert "32-bit gray: -1000000 is black, 1000000 is white" in notes(path)


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


def header_only_png(path: Path, width: int, height: int) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head = chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0]))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(9))))
    return path


@pytest.mark.parametrize("width", [20_000, 80_000])
def test_a_decompression_bomb_is_refused(tmp_path: Path, width: int) -> None:
    text = complaint(header_only_png(tmp_path / "bomb.png", width, width))
    assert text.startswith("is too large (")
    assert text.endswith(f"shrink it to at most {MAX_PIXELS // 10**6} megapixels first")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".gif", ".bmp", ".avif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
def test_a_truncated_photo_is_named_as_such(tmp_path: Path, suffix: str, share: float) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    path = save(tmp_path / f"photo{suffix}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert re.match(r"is (a TIFF that is )?truncated", complaint(path))


def test_truncation_is_an_error_whatever_the_program_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = save(tmp_path / "photo.jpg", np.asarray(Image.effect_noise((96, 64), 60)))
    path.write_bytes(path.read_bytes()[:-800])
    assert complaint(path) == "is truncated: copy or download it again"
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_damaged_photos_are_refused_or_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for suffix in (".jpg", ".png", ".tif", ".webp", ".gif"):
        path = save(tmp_path / f"photo{suffix}", plane(48, 32))
        content = path.read_bytes()
        for _ in range(12):
            spoiled = bytearray(content)
            for place in rng.integers(8, len(content), 4):
                spoiled[place] ^= int(rng.integers(1, 256))
            path.write_bytes(bytes(spoiled))
            with suppress(PhotoError):
                read_photo(path, max_side=64)


@pytest.mark.parametrize(
    "name, content, expected",
    [
        ("empty.jpg", b"", "is empty: copy or download it again"),
        ("notes.txt", b"not a picture\n" * 20, "is not an image: give a photo as JPEG"),
        ("clip.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(80), "is a video: give a photo"),
        ("photo.jpg", b"\x1a\x45\xdf\xa3" + bytes(80), "is a video: give a photo"),
        ("clip.avi", b"RIFF\x10\0\0\0AVI LIST" + bytes(80), "is a video: give a photo"),
        ("clip.mpg", b"nothing known" + bytes(80), "is a video: give a photo"),
        (
            "p.heic",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(80),
            "is HEIC, .*convert it to JPEG",
        ),
        (
            "p.jpg",
            b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(80),
            "is HEIC, .*convert it to JPEG",
        ),
        ("p.jxl", b"\xff\x0a" + bytes(80), "is JPEG XL, .*convert it to JPEG"),
        ("page.pdf", b"%PDF-1.7\n" + bytes(80), "is a PDF: export the picture"),
        ("p.svg", b"<svg xmlns=''/>", "is an SVG drawing: export it as PNG"),
        ("p.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n", "is PostScript"),
        ("p.NEF", b"II*\0" + bytes(80), "is a camera raw file: export it as JPEG"),
        ("p.tif", b"II*\0" + bytes(80), "is a TIFF that is truncated or of a kind"),
        ("p.png", b"\x89PNG\r\n\x1a\n", "is truncated or damaged"),
    ],
)
def test_what_is_no_photo_is_refused(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert re.match(expected, complaint(path))


def test_avif_that_pillow_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    path = tmp_path / "photo.avif"
    path.write_bytes(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(80))
    assert "this Pillow cannot read: convert it to JPEG or PNG" in complaint(path)


def test_a_tiff_of_real_colours_says_what_to_do(tmp_path: Path) -> None:
    # Pillow reads no RGB of 32-bit floats: the head of such a file, made from one that it reads.
    path = save(tmp_path / "photo.tif", plane(40, 40))
    content = path.read_bytes().replace(b"\x08\0\x08\0\x08\0", b"\x20\0\x20\0\x20\0")
    path.write_bytes(content)
    assert "of a kind that cannot be read: save it with 8 bits a channel" in complaint(path)


def test_places_that_hold_no_photo(tmp_path: Path) -> None:
    assert complaint(tmp_path / "gone.jpg") == "there is no such file: check the name"
    assert complaint(tmp_path / "gone.nef") == "there is no such file: check the name"
    assert complaint(tmp_path) == "is a folder: give one photo"
    os.mkfifo(tmp_path / "pipe")
    assert "is a pipe or a device" in complaint(tmp_path / "pipe")


def test_a_photo_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "photo.png", corners())

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # root may read everything
    assert complaint(path) == "may not be read: check its permissions"


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 1)])
def test_a_tiny_photo_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    text = complaint(save(tmp_path / "photo.png", Image.new("RGB", size)))
    assert text == f"has {size[0]}x{size[1]} pixels: give a photo of at least 16x16 pixels"


def test_a_photo_too_narrow_at_its_size_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.png", Image.new("RGB", (2000, 100)))
    text = complaint(path, max_side=256)
    assert text.startswith("its 2000x100 pixels would become 256x13, too narrow")
    assert "crop it to at most 16:1, or ask for a larger size" in text
    assert read(path, max_side=320).shape == (16, 320, 3)


def test_the_smallest_size_is_that_of_the_smallest_photo(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.png", Image.new("RGB", (64, 64)))
    assert read(path, max_side=16).shape == (16, 16, 3)
    with pytest.raises(ValueError, match="is to be 15 pixels: must be 16 or more"):
        read_photo(path, max_side=15)


def test_settings_are_left_as_they_were_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    bomb = header_only_png(tmp_path / "bomb.png", 12_000, 12_000)  # Pillow warns, we do not refuse
    noise = save(tmp_path / "cut.tif", plane(64, 64), compression="tiff_deflate")
    noise.write_bytes(noise.read_bytes()[:-200])
    for path in (bomb, noise):
        with pytest.raises(PhotoError):
            read_photo(path, max_side=64)
    read(save(tmp_path / "photo.png", corners()))
    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert after == before
    assert capfd.readouterr() == ("", "")


def test_the_photo_that_comes_along() -> None:
    path = Path(animate.__file__).parent / "assets" / "photo.jpg"
    photo = read_photo(path, max_side=512)
    assert photo.pixels.shape == (300, 451, 3)
    assert photo.notes == ()
    assert path.stat().st_size < 80_000
