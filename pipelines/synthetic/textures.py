"""Photos and cut-outs that synthetic scenes are made of, held in memory."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipelines.synthetic.procedural import procedural_texture

if TYPE_CHECKING:
    from jaxtyping import UInt8

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class TextureBank:
    """Named textures: RGB photos, and cut-outs with alpha (colours not premultiplied)."""

    photos: Sequence[UInt8[np.ndarray, "h w 3"]]
    photo_names: Sequence[str]
    objects: Sequence[UInt8[np.ndarray, "h w 4"]] = ()
    object_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.photos:
            raise ValueError("a texture bank needs at least one photo")

    @classmethod
    def from_folder(
        cls,
        photos_dir: str | Path,
        objects_dir: str | Path | None = None,
        max_side: int = 512,
        max_object_side: int = 320,
    ) -> TextureBank:
        """Read all images of two folders, in the order of their names.

        Larger images are shrunk so that the longer side is `max_side` (`max_object_side` for the
        cut-outs). Raises ValueError for a folder without images and for an unreadable image.
        """
        photos = _read_folder(Path(photos_dir), max_side, channels=3)
        objects = _read_folder(Path(objects_dir), max_object_side, 4) if objects_dir else {}
        return cls(list(photos.values()), list(photos), list(objects.values()), list(objects))

    @classmethod
    def procedural(cls, seed: int = 0, count: int = 24, size: int = 256) -> TextureBank:
        """Textures made from random numbers, of size x size pixels: stone, wood, leaves, walls."""
        rng = np.random.default_rng(seed)
        photos = [procedural_texture(rng, size) for _ in range(count)]
        return cls(photos, [f"procedural_{i}" for i in range(count)])

    def split(self, validation_fraction: float = 0.1) -> tuple[TextureBank, TextureBank]:
        """(training, validation) banks; a name's side depends on nothing but the name.

        Cut-outs whose name continues a photo's name (`photo_3` of `photo`) go where it goes.
        """
        sides = []
        for validation in (False, True):
            photos = [
                i
                for i, name in enumerate(self.photo_names)
                if _held_out(name, validation_fraction) == validation
            ]
            objects = [
                i
                for i, name in enumerate(self.object_names)
                if _held_out(self._source(name), validation_fraction) == validation
            ]
            sides.append(
                TextureBank(
                    [self.photos[i] for i in photos],
                    [self.photo_names[i] for i in photos],
                    [self.objects[i] for i in objects],
                    [self.object_names[i] for i in objects],
                )
            )
        return sides[0], sides[1]

    def save(self, path: str | Path, quality: int = 93) -> None:
        """Pack the bank into one .npz file: photos as JPEG of `quality`, cut-outs as PNG."""
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        photos = [_encode(".jpg", image, cv2.COLOR_RGB2BGR, options) for image in self.photos]
        objects = [_encode(".png", image, cv2.COLOR_RGBA2BGRA, []) for image in self.objects]
        with open(path, "wb") as file:  # np.savez would add a suffix to other names
            np.savez(
                file,
                photo_bytes=np.concatenate(photos),
                photo_sizes=np.array([len(data) for data in photos], np.int64),
                photo_names=np.array(self.photo_names, str),
                object_bytes=np.concatenate([np.zeros(0, np.uint8), *objects]),
                object_sizes=np.array([len(data) for data in objects], np.int64),
                object_names=np.array(self.object_names, str),
            )

    @classmethod
    def load(cls, path: str | Path) -> TextureBank:
        """Read a file written by `save`."""
        with np.load(path, allow_pickle=False) as file:
            photos = _unpack(file["photo_bytes"], file["photo_sizes"], cv2.COLOR_BGR2RGB)
            objects = _unpack(file["object_bytes"], file["object_sizes"], cv2.COLOR_BGRA2RGBA)
            return cls(photos, file["photo_names"].tolist(), objects, file["object_names"].tolist())

    def _source(self, object_name: str) -> str:
        stem = object_name.rpartition("_")[0]
        return stem if stem in self.photo_names else object_name


def _held_out(name: str, fraction: float) -> bool:
    return zlib.crc32(name.encode("utf-8")) < fraction * 2**32


def _read_folder(folder: Path, max_side: int, channels: int) -> dict[str, np.ndarray]:
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: no images (looked for {', '.join(sorted(_SUFFIXES))})")
    return {path.stem: _read_image(path, max_side, channels) for path in paths}


def _read_image(path: Path, max_side: int, channels: int) -> np.ndarray:
    mode = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_UNCHANGED
    image = cv2.imread(str(path), mode)
    if image is None or image.shape[2:] != (channels,):
        raise ValueError(f"{path}: not a readable image with {channels} channels; remove the file")
    factor = max_side / max(image.shape[:2])
    if factor < 1:
        size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    code = cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGRA2RGBA
    return cv2.cvtColor(image, code)


def _encode(suffix: str, image: np.ndarray, code: int, options: list[int]) -> np.ndarray:
    _, data = cv2.imencode(suffix, cv2.cvtColor(image, code), options)
    return data.ravel()


def _unpack(data: np.ndarray, sizes: np.ndarray, code: int) -> list[np.ndarray]:
    ends = np.cumsum(sizes)
    return [_decode(data[end - size : end], code) for size, end in zip(sizes, ends, strict=True)]


def _decode(data: np.ndarray, code: int) -> np.ndarray:
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("a packed texture is damaged; write the texture file again")
    return cv2.cvtColor(image, code)
