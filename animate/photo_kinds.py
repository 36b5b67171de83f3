"""What a file is that is no photo to animate, by its name and first bytes, and what to do."""

from __future__ import annotations

import mimetypes
import re

from PIL import Image

# Of what Pillow knows, what photos come in. Others run programs (EPS), only pretend to be images
# (MPEG, HDF5), or take nearly any file for theirs (TGA).
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "MPO",
    "TIFF",
    "GIF",
    "AVIF",
    "BMP",
    "DIB",
    "JPEG2000",
    "PPM",
    "PSD",
    "QOI",
    "SGI",
    "ICO",
)
FRAMES = {"GIF": "frames", "PNG": "frames", "WEBP": "frames", "AVIF": "frames", "TIFF": "pages"}

_VIDEO = "is a video: give a photo, such as one frame of it"
_RAW = "is a camera raw file: export it as JPEG or PNG first"
_HEIC = "is HEIC, which cannot be read here: convert it to JPEG or PNG first"
# TIFFs inside: Pillow would take the thumbnail for the photo.
_RAW_SUFFIX = re.compile(r"\.(arw|cr2|cr3|dng|nef|nrw|orf|pef|raf|rw2|srw)$", re.IGNORECASE)
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_READABLE = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"8BPS", b"qoif", b"\0\0\0\x0cjP  ")
_OTHERS = {
    b"\x1a\x45\xdf\xa3": _VIDEO,
    b"\0\0\x01\xba": _VIDEO,
    b"\0\0\x01\xb3": _VIDEO,
    b"FLV\x01": _VIDEO,
    b"%PDF": "is a PDF: export the picture as PNG or JPEG first",
    b"%!PS": "is PostScript: export the picture as PNG or JPEG first",
    b"<svg": "is an SVG drawing: export it as PNG first",
    b"\xff\x0a": "is JPEG XL, which cannot be read here: convert it to JPEG or PNG first",
    b"\0\0\0\x0cJXL ": "is JPEG XL, which cannot be read here: convert it to JPEG or PNG first",
}


def unfit_by_name(name: str) -> str | None:
    """Why a file of this name is not even opened; None for what may be a photo."""
    return _RAW if _RAW_SUFFIX.search(name) else None


def why_not_opened(name: str, head: bytes) -> str:
    """Why no decoder took a file that begins with these bytes, 64 or all of them."""
    if head[4:8] == b"ftyp":
        return _why_not_container(head)
    for start, reason in _OTHERS.items():
        if head.startswith(start):
            return reason
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _VIDEO
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return (
            "is a TIFF that is truncated or of a kind that cannot be read: save it with 8 bits a "
            "channel, or as PNG or JPEG"
        )
    if head.startswith(_READABLE) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "is truncated or damaged: copy or download it again"
    if (mimetypes.guess_type(name)[0] or "").startswith("video/"):
        return _VIDEO
    return "is not an image: give a photo as JPEG, PNG, WebP, TIFF, GIF or BMP"


def _why_not_container(head: bytes) -> str:
    """Of the family of MP4: the brands, main and compatible, tell photos from videos."""
    brands = {head[start : start + 4] for start in range(8, len(head), 4)}
    if brands & _AVIF_BRANDS:
        if "AVIF" in Image.OPEN:
            return "is truncated or damaged: copy or download it again"
        return "is AVIF, which this Pillow cannot read: convert it to JPEG or PNG first"
    return _HEIC if brands & _HEIC_BRANDS else _VIDEO
