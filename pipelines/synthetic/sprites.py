"""The pictures that layers show: photos, cut-outs and thin structures, ready for drawing."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.synthetic.masks import random_mask, thin_mask
from pipelines.synthetic.textures import TextureBank


def photo_texture(rng: np.random.Generator, textures: TextureBank) -> np.ndarray:
    """A photo [h, w, 3] of the bank, half of the time mirrored."""
    photo = textures.photos[int(rng.integers(len(textures.photos)))]
    return photo[:, ::-1] if rng.random() < 0.5 else photo


def cut_out(rng: np.random.Generator, textures: TextureBank) -> np.ndarray:
    """RGBA [h, w, 4]: an object of the bank, or a random shape cut out of a photo."""
    if textures.objects and rng.random() < 0.5:
        rgba = textures.objects[int(rng.integers(len(textures.objects)))]
        return np.pad(rgba, ((1, 1), (1, 1), (0, 0)))
    crop = _crop(rng, textures, 64)
    return np.dstack([crop, random_mask(rng, *crop.shape[:2])])


def thin_structure(rng: np.random.Generator, textures: TextureBank, thickness: float) -> np.ndarray:
    """RGBA [h, w, 4]: poles, wires or branches; `thickness` as a share of the longer side."""
    crop = _crop(rng, textures, 160)
    # Mostly darker or lighter than what is behind, as poles and branches are against the sky.
    crop = cv2.convertScaleAbs(crop, alpha=rng.uniform(0.3, 1.0), beta=rng.uniform(0, 60))
    height, width = crop.shape[:2]
    return np.dstack([crop, thin_mask(rng, height, width, thickness * max(height, width))])


def faded(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The picture with little of its contrast left: hardly any texture."""
    colour = picture[..., :3]
    mean = cv2.mean(colour)[:3]
    keep = rng.uniform(0.12, 0.5)
    table = np.stack([keep * np.arange(256) + (1 - keep) * m for m in mean], axis=-1)
    flat = cv2.LUT(np.ascontiguousarray(colour), np.round(table).astype(np.uint8)[None])
    return np.dstack([flat, picture[..., 3]]) if picture.shape[2] == 4 else flat


def premultiplied(rgba: np.ndarray) -> np.ndarray:
    """RGBA with its colours multiplied by alpha."""
    alpha = cv2.merge([rgba[..., 3]] * 3)
    colour = cv2.multiply(np.ascontiguousarray(rgba[..., :3]), alpha, scale=1 / 255)
    return np.dstack([colour, rgba[..., 3]])


def mip_levels(texture: np.ndarray) -> tuple[np.ndarray, ...]:
    """The texture and its halves, quarters, …"""
    levels = [np.ascontiguousarray(texture)]
    while min(levels[-1].shape[:2]) >= 16 and len(levels) < 5:
        height, width = levels[-1].shape[:2]
        half = (width // 2, height // 2)
        levels.append(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA))
    return tuple(levels)


def _crop(rng: np.random.Generator, textures: TextureBank, least: int) -> np.ndarray:
    photo = textures.photos[int(rng.integers(len(textures.photos)))]
    height = int(rng.integers(min(least, photo.shape[0]), photo.shape[0] + 1))
    width = int(rng.integers(min(least, photo.shape[1]), photo.shape[1] + 1))
    top = int(rng.integers(photo.shape[0] - height + 1))
    left = int(rng.integers(photo.shape[1] - width + 1))
    return photo[top : top + height, left : left + width]
