"""Inputs, buckets, shards and their names: what must not depend on how a run goes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.extract.inputs import (
    Bucket,
    bucket_index,
    bucket_sources,
    record_inputs,
    recorded_buckets,
)
from pipelines.extract.planning import (
    PlannedSource,
    cut_shards,
    failed_source,
    finished_buckets,
    pack_source,
    read_plan,
    sweep_plans,
    write_plan,
)
from pipelines.video import ClipSpec, Plan, VideoError
from pipelines.video.settings import pack_ticks
from trajectories import ClipInfo, DatasetError, clip_id
from trajectories.storage import connect

BUCKET = Bucket(2, 7)


def spec(source: str, number: int) -> ClipSpec:
    start = number * 1_000_000
    info = ClipInfo(
        clip_id=clip_id(source, start, start + 1_000_000),
        source=source,
        start_s=number / 3,  # not a short decimal: must survive to the last bit
        end_s=number / 3 + 1,
        fps=24.0,
        num_frames=24,
        width=256,
        height=256,
        source_width=640,
        source_height=360,
        rotation=90,
        crop_x=140.0,
        crop_y=0.0,
        crop_width=360.0,
        crop_height=360.0,
    )
    return ClipSpec(info, "crop", "pts", pack_ticks(range(start, start + 24)))


def planned(source: str, clips: int, error: VideoError | None = None) -> PlannedSource:
    return pack_source(Plan(source, tuple(spec(source, i) for i in range(clips)), error))


SOURCES = [
    planned("a.mp4", 5),
    failed_source("b.mp4", "open", "VideoError", "is text", 1),
    planned("c.mp4", 1, VideoError("c.mp4", "decode", "is cut off")),
    planned("d.mp4", 3),
]


def test_shards_hold_every_clip_and_failure_once_in_order() -> None:
    shards = list(cut_shards(BUCKET, SOURCES, 4))
    assert [len(shard.specs) for shard in shards] == [4, 4, 1]
    clips = [(s.info.source, s.info.start_s) for shard in shards for s in shard.specs]
    assert clips == sorted(clips)
    assert len(clips) == len(set(clips)) == 9
    failures = [(f.source, f.stage) for shard in shards for f in shard.failures]
    assert failures == [("b.mp4", "open"), ("c.mp4", "decode")]


def test_names_do_not_depend_on_the_order_in_which_planning_finished() -> None:
    names = [shard.name for shard in cut_shards(BUCKET, SOURCES, 4)]
    shuffled: Sequence[PlannedSource] = random.Random(1).sample(SOURCES, len(SOURCES))
    assert [shard.name for shard in cut_shards(BUCKET, shuffled, 4)] == names
    assert names[0].startswith("g0002-b00007-0000of0003-")


def test_names_depend_on_the_content() -> None:
    names = [shard.name for shard in cut_shards(BUCKET, SOURCES, 4)]
    changed = [planned("a.mp4", 6), *SOURCES[1:]]
    others = [shard.name for shard in cut_shards(BUCKET, changed, 4)]
    # The first shard holds the first four clips of a.mp4 either way.
    assert [a == b for a, b in zip(names, others, strict=True)] == [True, False, False]


def test_failures_alone_make_one_shard_and_nothing_makes_none() -> None:
    (shard,) = cut_shards(BUCKET, [SOURCES[1]], 4)
    assert (shard.specs, len(shard.failures)) == ((), 1)
    assert list(cut_shards(BUCKET, [], 4)) == []


@pytest.mark.parametrize("shard_clips", [1, 2, 3, 9, 100])
def test_the_recorded_plan_reads_back_equal(tmp_path: Path, shard_clips: int) -> None:
    storage = connect(tmp_path)
    assert read_plan(storage, BUCKET) is None
    shards = list(cut_shards(BUCKET, SOURCES, shard_clips))
    write_plan(storage, BUCKET, shards)
    again = read_plan(storage, BUCKET)
    assert again is not None
    assert list(again) == shards


def test_a_long_video_stays_small() -> None:
    packed = planned("long.mp4", 36_000)  # ten hours
    assert len(packed.packed) < 8_000_000
    first = next(cut_shards(BUCKET, [packed], 16))
    assert len(first.specs) == 16
    assert "of2250-" in first.name


def test_a_bucket_is_finished_when_all_its_shards_are() -> None:
    names = [shard.name for shard in cut_shards(BUCKET, SOURCES, 4)]
    assert finished_buckets(names) == {BUCKET}
    assert finished_buckets(names[:-1]) == set()
    assert finished_buckets([*names[1:], "somebody-elses"]) == set()


def test_inputs_are_recorded_once_and_later_ones_make_a_generation(tmp_path: Path) -> None:
    storage = connect(tmp_path)
    first = [f"/videos/{i}.mp4" for i in range(40)]
    assert record_inputs(storage, first, 16) == 40
    assert record_inputs(storage, first[:7], 16) == 0
    assert {b.generation for b in recorded_buckets(storage)} == {0}
    before = recorded_buckets(storage)
    assert record_inputs(storage, [*first, "/videos/new.mp4"], 16) == 1
    after = recorded_buckets(storage)
    assert {b: n for b, n in after.items() if b.generation == 0} == before
    assert {b: n for b, n in after.items() if b.generation == 1} == {Bucket(1, 0): 1}
    together = [s for bucket in after for s in bucket_sources(storage, bucket)]
    assert sorted(together) == sorted([*first, "/videos/new.mp4"])
    assert all(len(bucket_sources(storage, b)) == n for b, n in after.items())


def test_a_bucket_of_many_videos_is_found_across_row_groups(tmp_path: Path) -> None:
    storage = connect(tmp_path)
    uris = [f"gs://archive/{i:05d}.mp4" for i in range(10_000)]
    record_inputs(storage, uris, 5_000)
    halves = [bucket_sources(storage, bucket) for bucket in recorded_buckets(storage)]
    assert sorted(halves[0] + halves[1]) == uris
    assert {bucket_index(uri, 2) for uri in halves[1]} == {1}


def test_buckets_are_the_same_on_every_machine() -> None:
    # Taken down once: a change would orphan the buckets of existing datasets.
    assert [bucket_index(f"gs://b/{i}.mp4", 1000) for i in range(4)] == [449, 284, 87, 968]


def test_undecodable_file_names_survive(tmp_path: Path) -> None:
    storage = connect(tmp_path)
    name = "/videos/caf\udce9.mp4"
    record_inputs(storage, [name], 16)
    (bucket,) = recorded_buckets(storage)
    assert bucket_sources(storage, bucket) == [name]
    write_plan(storage, bucket, cut_shards(bucket, [planned(name, 2)], 16))
    again = read_plan(storage, bucket)
    assert again is not None
    assert [s.info.source for shard in again for s in shard.specs] == [name, name]


def test_a_folder_that_looks_like_a_partition_is_a_folder(tmp_path: Path) -> None:
    storage = connect(tmp_path / "bucket=9")
    record_inputs(storage, ["a.mp4"], 16)
    assert bucket_sources(storage, Bucket(0, 0)) == ["a.mp4"]


def test_leftovers_of_a_killed_write_are_ignored_and_swept(tmp_path: Path) -> None:
    storage = connect(tmp_path)
    record_inputs(storage, ["a.mp4"], 16)
    write_plan(storage, BUCKET, cut_shards(BUCKET, SOURCES, 4))
    left = [storage.stage(f"{folder}/0001.parquet", b"half") for folder in ("inputs", "plans")]
    assert record_inputs(storage, ["b.mp4"], 16) == 1
    assert len(recorded_buckets(storage)) == 2
    sweep_plans(storage)
    names = [*storage.list_files("inputs"), *storage.list_files("plans")]
    assert not {item.temporary for item in left} & set(names)
    assert len(names) == 3


@pytest.mark.parametrize("folder", ["inputs", "plans"])
def test_a_damaged_record_is_named(tmp_path: Path, folder: str) -> None:
    storage = connect(tmp_path)
    record_inputs(storage, ["a.mp4"], 16)
    (bucket,) = recorded_buckets(storage)
    write_plan(storage, bucket, cut_shards(bucket, [planned("a.mp4", 2)], 16))
    (file,) = (tmp_path / folder).iterdir()
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(DatasetError, match=f"{file.name} is damaged"):
        recorded_buckets(storage) if folder == "inputs" else read_plan(storage, bucket)


def test_memory_storage_works_like_a_disk() -> None:
    storage = connect("memory://tapirus-planning-test")
    record_inputs(storage, ["a.mp4", "b.mp4"], 16)
    assert bucket_sources(storage, Bucket(0, 0)) == ["a.mp4", "b.mp4"]
    shards = list(cut_shards(BUCKET, SOURCES, 4))
    write_plan(storage, BUCKET, shards)
    again = read_plan(storage, BUCKET)
    assert again is not None
    assert list(again) == shards
