"""The dataset's own record, inputs and plans, drawn by Hypothesis."""

from __future__ import annotations

import itertools
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract.inputs import Bucket, bucket_sources, record_inputs, recorded_buckets
from pipelines.extract.planning import (
    PlannedSource,
    bucket_of,
    cut_shards,
    failed_source,
    finished_buckets,
    pack_source,
    read_plan,
    write_plan,
)
from pipelines.video import ClipSpec, Plan
from pipelines.video.settings import pack_ticks
from trajectories import ClipInfo, clip_id
from trajectories.storage import Storage, connect

# Names as the system gives them: any bytes, those that are no UTF-8 as lone surrogates.
URIS = st.sets(
    st.binary(min_size=1, max_size=10).map(lambda raw: "/" + os.fsdecode(raw)), max_size=25
)
_number = itertools.count()


def fresh() -> Storage:
    return connect(f"memory://records/{next(_number)}")


@given(st.lists(URIS, min_size=1, max_size=3), st.integers(1, 8))
@settings(deadline=None, max_examples=60)
def test_every_video_is_in_one_bucket_for_good(runs: list[set[str]], per_bucket: int) -> None:
    storage = fresh()
    before: dict[Bucket, list[str]] = {}
    for uris in runs:
        known = {uri for sources in before.values() for uri in sources}
        assert record_inputs(storage, uris, per_bucket) == len(uris - known)
        now = {bucket: bucket_sources(storage, bucket) for bucket in recorded_buckets(storage)}
        assert {bucket: len(sources) for bucket, sources in now.items()} == recorded_buckets(
            storage
        )
        everything = sorted(itertools.chain.from_iterable(now.values()))
        assert everything == sorted(known | uris)
        # What was recorded stays where it was.
        assert {bucket: now[bucket] for bucket in before} == before
        before = now


def video(name: str, clips: int) -> PlannedSource:
    """A video of so many clips; none: one that failed."""
    if not clips:
        return failed_source(name, "open", "VideoError", "no video", 1)
    specs = []
    for number in range(clips):
        start, end = 1_000_000 * number, 1_000_000 * number + 500_000
        made = ClipInfo(
            clip_id(name, start, end), name, start / 1e6, end / 1e6, 12.0, 6, 32, 32,
            64, 48, 0, 8.0, 0.0, 48.0, 48.0,
        )  # fmt: skip
        specs.append(ClipSpec(made, "crop", "pts", pack_ticks(range(6))))
    return pack_source(Plan(name, tuple(specs), None))


VIDEOS = st.dictionaries(
    st.text("abcdé \udcff'", min_size=1, max_size=6), st.integers(0, 7), min_size=1, max_size=6
)


@given(VIDEOS, st.integers(1, 5), st.randoms())
@settings(deadline=None, max_examples=80)
def test_plans_hold_every_clip_once_and_come_back(
    videos: dict[str, int], shard_clips: int, rng: object
) -> None:
    bucket = Bucket(3, 7)
    planned = [video(name, clips) for name, clips in videos.items()]
    shards = list(cut_shards(bucket, planned, shard_clips))
    rng.shuffle(planned)  # type: ignore[attr-defined]
    assert list(cut_shards(bucket, planned, shard_clips)) == shards
    ids = [spec.info.clip_id for shard in shards for spec in shard.specs]
    assert len(set(ids)) == len(ids) == sum(videos.values())
    failed = [failure.source for shard in shards for failure in shard.failures]
    assert sorted(failed) == sorted(name for name, clips in videos.items() if not clips)
    assert all(len(shard.specs) <= shard_clips for shard in shards)
    names = [shard.name for shard in shards]
    assert len(set(names)) == len(names)
    assert {bucket_of(name) for name in names} == {bucket}
    # A bucket is finished with its last shard, not before.
    assert finished_buckets(names) == {bucket}
    assert finished_buckets(names[:-1]) == set()
    storage = fresh()
    write_plan(storage, bucket, shards)
    assert list(read_plan(storage, bucket) or ()) == shards
