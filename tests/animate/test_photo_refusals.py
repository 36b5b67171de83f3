"""What is no photo, or a damaged one, is named in one line."""

from __future__ import annotations

import os
import re
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, features

from animate.photo import MAX_PIXELS, PhotoError, read_photo
from tests.animate.photo_files import (
    complaint,
    corners,
    plane,
    read,
    save,
)


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
