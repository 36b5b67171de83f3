from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluation.sources import FIRST_SEED, open_source, synthetic_source
from pipelines.synthetic import SyntheticConfig, TextureBank, make_clip
from pipelines.training.data import VALIDATION_SEED
from tests.pipelines.evaluation.eval_makers import write_clip


def write_pickle(path: Path, count: int) -> Path:
    example = {
        "points": np.full((1, 2, 2), 0.5),
        "occluded": np.zeros((1, 2), bool),
        "video": np.zeros((2, 8, 8, 3), np.uint8),
    }
    path.write_bytes(pickle.dumps([example] * count))
    return path


def names(spec: object, limit: int | None = None) -> list[str]:
    source = open_source(str(spec), limit=limit)
    found = [asked["first"].name for asked in source.clips(["first"])]
    assert source.count in (None, len(found))
    return found


def test_a_folder_of_clips(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_clip(tmp_path / "real", name)
    assert open_source(str(tmp_path / "real")).name == "real"
    assert names(tmp_path / "real") == ["a", "b"]
    assert names(tmp_path / "real", limit=1) == ["a"]


def test_a_pickle_and_a_folder_of_shards(tmp_path: Path) -> None:
    shards = tmp_path / "kinetics"
    shards.mkdir()
    write_pickle(shards / "0001_of_0002.pkl", 2)
    single = write_pickle(shards / "0000_of_0002.pkl", 2)
    assert open_source(str(shards)).name == "kinetics"
    assert names(single) == ["0000_of_0002/0", "0000_of_0002/1"]
    assert names(shards, limit=3) == ["0000_of_0002/0", "0000_of_0002/1", "0001_of_0002/0"]


def test_synthetic_clips_are_of_seeds_of_their_own() -> None:
    textures = TextureBank.procedural(0, count=4)
    config = SyntheticConfig(num_frames=4, height=64, width=64, num_queries=4)
    source = synthetic_source(textures, 2, config)
    assert (source.name, source.count) == ("synthetic", 2)
    first, _ = source.clips(["first", "strided"])
    expected = make_clip(FIRST_SEED, config, textures)
    np.testing.assert_array_equal(first["first"].video, expected.video)
    np.testing.assert_array_equal(first["first"].tracks, expected.tracks)
    assert first["strided"] is first["first"]
    assert FIRST_SEED > VALIDATION_SEED + 1_000_000


def test_how_many_synthetic_clips() -> None:
    textures = TextureBank.procedural(0, count=1)
    assert open_source("synthetic", textures=lambda: textures).count == 32
    assert open_source("synthetic", textures=lambda: textures, limit=5).count == 5


def test_what_is_not_there_or_no_data(tmp_path: Path) -> None:
    other = tmp_path / "clip.mp4"
    other.touch()
    for spec, reason in [
        (tmp_path / "missing", "no such file or folder"),
        (other, "neither a folder"),
        (tmp_path, r"no \.npz files"),
    ]:
        with pytest.raises(ValueError, match=rf"{spec}: .*{reason}"):
            open_source(str(spec))
