from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.synthetic import TextureBank
from pipelines.synthetic.masks import random_mask


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """30 photos in one colour each (file name = red value), and one cut-out of each."""
    photos, objects = tmp_path / "photos", tmp_path / "objects"
    photos.mkdir()
    objects.mkdir()
    for red in range(100, 130):
        image = np.zeros((40, 60, 4), np.uint8)
        image[..., 2] = red
        image[10:30, 10:30, 3] = 255
        cv2.imwrite(str(photos / f"p{red}.png"), image[..., :3])
        cv2.imwrite(str(objects / f"p{red}_1.png"), image)
    return photos, objects


def test_from_folder_reads_rgb_in_the_order_of_names(folders: tuple[Path, Path]) -> None:
    bank = TextureBank.from_folder(*folders, max_side=30)
    assert bank.photo_names[:2] == ["p100", "p101"]
    assert [photo[0, 0].tolist() for photo in bank.photos[:2]] == [[100, 0, 0], [101, 0, 0]]
    assert bank.photos[0].shape == (20, 30, 3)
    assert bank.objects[0].shape == (40, 60, 4)
    assert bank.objects[0][20, 20].tolist() == [100, 0, 0, 255]


def test_split_holds_whole_photos_out_by_name(folders: tuple[Path, Path]) -> None:
    bank = TextureBank.from_folder(*folders)
    train, validation = bank.split(0.3)
    assert 2 <= len(validation.photos) <= 18
    assert sorted([*train.photo_names, *validation.photo_names]) == bank.photo_names
    for side in (train, validation):
        # A cut-out follows the photo that it was cut from.
        assert [f"{name}_1" for name in side.photo_names] == side.object_names
        for name, photo, cut in zip(side.photo_names, side.photos, side.objects, strict=True):
            assert photo[0, 0, 0] == cut[0, 0, 0] == int(name[1:])
    # The side of a name does not depend on the other names.
    fewer = TextureBank(bank.photos[:20], bank.photo_names[:20])
    assert set(fewer.split(0.3)[1].photo_names) <= set(validation.photo_names)


def test_saved_banks_load_again(folders: tuple[Path, Path], tmp_path: Path) -> None:
    bank = TextureBank.from_folder(*folders)
    bank.save(tmp_path / "bank.npz")
    again = TextureBank.load(tmp_path / "bank.npz")
    assert again.photo_names == bank.photo_names
    assert again.object_names == bank.object_names
    for photo, original in zip(again.photos, bank.photos, strict=True):
        assert np.abs(photo.astype(int) - original).max() <= 3  # JPEG
    for cut, original in zip(again.objects, bank.objects, strict=True):
        np.testing.assert_array_equal(cut, original)


def test_a_bank_without_objects_can_be_saved(tmp_path: Path) -> None:
    TextureBank.procedural(0, count=2, size=64).save(tmp_path / "bank.npz")
    assert TextureBank.load(tmp_path / "bank.npz").objects == []


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: no images"):
        TextureBank.from_folder(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        TextureBank.from_folder(tmp_path)


def test_split_that_leaves_no_photo_is_refused() -> None:
    with pytest.raises(ValueError, match="photo"):
        TextureBank.procedural(0, count=2, size=64).split(0.0)


def test_procedural_textures_are_seeded_and_detailed() -> None:
    first, again = (TextureBank.procedural(4, count=2, size=64) for _ in range(2))
    np.testing.assert_array_equal(first.photos, again.photos)
    assert all(photo.std() > 10 for photo in first.photos)


def test_masks_are_closed_shapes() -> None:
    areas = []
    for seed in range(60):
        mask = random_mask(np.random.default_rng(seed), 60, 80)
        assert (mask.shape, mask.dtype) == ((60, 80), np.uint8)
        assert not mask[[0, -1]].any()
        assert not mask[:, [0, -1]].any()
        areas.append((mask > 127).mean())
    assert min(areas) > 0.005
    assert 0.15 < np.mean(areas) < 0.7
