"""Colours, profiles, transparency and depth come out as sRGB of 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.animate.icc_profiles import (
    BLUE,
    GREEN,
    RED,
    cmyk_of_lightness,
    linear_gray,
    linear_rgb,
)
from tests.animate.photo_files import (
    corners,
    notes,
    plane,
    read,
    save,
)


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
