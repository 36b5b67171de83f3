"""Which clips are trained on, and which are held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.training.animation.data_config import DEFAULT_CONDITION, DataConfig, video_name
from pipelines.training.animation.index import ClipIndex, select_clips
from tests.pipelines.training.animation.animation_makers import grid_clip, many_clips, write_clips
from trajectories import DatasetError, QueryError


def ids(index: ClipIndex) -> set[str]:
    return {identity.decode() for identity in index.ids.tolist()}


@pytest.mark.parametrize(
    "source,name",
    [
        ("/data/cat__s00.mp4", "cat"),
        ("gs://bucket/a/cat__s01.webm", "cat"),
        ("https://host/cat%20one__s01.mp4?x=1", "cat one"),
        ("C:\\videos\\cat.mp4", "cat"),
        ("/data/cat_0__s0__x.mp4", "cat_0"),
    ],
)
def test_segments_of_one_video_share_its_name(source: str, name: str) -> None:
    assert video_name(source, "__") == name


def test_the_parts_hold_all_clips_once_and_share_no_video(tmp_path: Path) -> None:
    clips = many_clips(sources=40, clips=2)
    config = DataConfig(where="true", validation_fraction=0.25)
    selection = select_clips(write_clips(tmp_path / "d", clips), config)
    train, held_out = ids(selection.train), ids(selection.validation)
    assert train | held_out == {clip.info.clip_id for clip in clips}
    assert not train & held_out
    videos = [
        {video_name(clip.info.source, "__") for clip in clips if clip.info.clip_id in part}
        for part in (train, held_out)
    ]
    assert not videos[0] & videos[1]
    assert 4 <= len(videos[1]) <= 16
    assert selection.summary() == f"{len(train)} clips to train on, {len(held_out)} held out, " + (
        "0 left out by the condition"
    )


def test_the_division_follows_from_the_name_alone() -> None:
    config = DataConfig(validation_fraction=0.5)
    parts = [config.part_of(f"/one/video{k}__s00.mp4") for k in range(12)]
    assert parts == [config.part_of(f"gs://b/two/video{k}__s17.webm") for k in range(12)]
    # Written down: a change would move clips between the parts of runs that go on.
    assert [k for k, part in enumerate(parts) if part == "validation"] == [0, 1, 2, 9, 10, 11]


def test_the_default_condition_leaves_out_what_teaches_nothing(tmp_path: Path) -> None:
    good = grid_clip("/v/good.mp4")
    still = grid_clip("/v/still.mp4", velocity=(0.05, 0.0))
    hidden = grid_clip("/v/hidden.mp4", visible=False)
    config = DataConfig(validation_fraction=0.0)
    assert config.where == DEFAULT_CONDITION
    selection = select_clips(write_clips(tmp_path / "d", [good, still, hidden]), config)
    assert ids(selection.train) == {good.info.clip_id}
    assert selection.left_out == 2


def test_where_the_clips_stand(tmp_path: Path) -> None:
    clips = many_clips(sources=1, clips=25)
    dataset = write_clips(tmp_path / "d", clips, shard_clips=11)
    index = select_clips(dataset, DataConfig(where="true", validation_fraction=0)).train
    assert index.shard.tolist() == [0] * 11 + [1] * 11 + [2] * 3
    assert index.row.tolist() == [*range(11), *range(11), *range(3)]
    groups = [8, 3, 8, 3, 3]
    assert np.unique(index.group, return_counts=True)[1].tolist() == groups
    for k in (0, 9, 11, 24):
        row = dataset.row_group(index.shards[index.shard[k]], index.row[k] // 8)[index.row[k] % 8]
        assert row.info.clip_id.encode() == index.ids[k]


def test_parts_of_an_index() -> None:
    index = ClipIndex(
        ("a",), np.zeros(10, int), np.arange(10), np.array([f"{k:032d}" for k in range(10)], "S32")
    )
    assert index.without({f"{3:032d}", "no such clip"}).row.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert index.spread(3).row.tolist() == [1, 5, 8]
    assert index.spread(20) is index


def test_mistakes_are_named(tmp_path: Path) -> None:
    dataset = write_clips(tmp_path / "d", many_clips(1, 2))
    with pytest.raises(QueryError, match=r"data\.where.*fps2"):
        select_clips(dataset, DataConfig(where="fps2 > 3"))
    with pytest.raises(DatasetError, match=r"no clip is left.*2 in all.*fps > 1000"):
        select_clips(dataset, DataConfig(where="fps > 1000"))
    for changes in (
        {"where": " "},
        {"validation_fraction": 1.0},
        {"separator": ""},
        {"buffer_clips": 0},
    ):
        with pytest.raises(ValueError, match=f"data.{next(iter(changes))}"):
            DataConfig(**changes)


def test_a_comment_in_the_condition_is_a_comment(tmp_path: Path) -> None:
    dataset = write_clips(tmp_path / "d", many_clips(1, 2))
    config = DataConfig(where="fps > 1 -- all of them", validation_fraction=0)
    assert len(select_clips(dataset, config).train) == 2
