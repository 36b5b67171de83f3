"""The examples of docs/dataset.md are run, and decode to what was written."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trajectories.made_clips import random_clip, write_dataset
from trajectories import Dataset, Failure, fetch_result

PAGE = (Path(__file__).parents[2] / "docs" / "dataset.md").read_text(encoding="utf-8")
BY_HAND, READING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    failure = Failure("/v/bad.mp4", None, None, None, "open", "VideoError", "empty", 1)
    clips = [random_clip(i, num_tracks=25, num_frames=25, start_s=i) for i in range(3)]
    return write_dataset(tmp_path / "DATASET", {"s": clips}, [failure])


def test_decoding_by_hand(dataset: Dataset) -> None:
    names: dict[str, Any] = {"file": os.path.join(dataset.root, "points", "s.parquet")}
    exec(BY_HAND, names)
    clip = next(iter(dataset))
    np.testing.assert_array_equal(names["x"].T, clip.tracks[..., 0])
    np.testing.assert_array_equal(names["y"].T, clip.tracks[..., 1])
    np.testing.assert_array_equal(names["visible"].T, clip.visible)
    np.testing.assert_allclose(names["uncertainty"].T, clip.uncertainty, atol=1e-7)


def test_reading(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(dataset.root).parent)
    names: dict[str, Any] = {}
    exec(READING, names)
    assert names["clip"].tracks.shape == (25, 25, 2)
    lines = Path("moving.csv").read_text().splitlines()
    displacement = dataset.tracks()["displacement"].to_numpy()
    assert len(lines) - 1 == (displacement > 20).sum() > 0


@pytest.mark.parametrize("query", QUERIES)
def test_queries(dataset: Dataset, query: str) -> None:
    assert fetch_result(dataset.sql(query)).num_rows > 0


def test_positions_in_plain_sql(dataset: Dataset) -> None:
    rows = dataset.sql(f"SELECT x FROM ({QUERIES[0]}) ORDER BY clip_id, track, t").fetchall()
    clips = sorted(dataset, key=lambda clip: clip.info.clip_id)
    expected = np.concatenate([clip.tracks[..., 0].reshape(-1) for clip in clips])
    np.testing.assert_array_equal(np.array(rows)[:, 0], expected)
