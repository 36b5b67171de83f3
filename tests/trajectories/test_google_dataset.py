"""Datasets on Google's storage: the same as on a disk, and what they cost to write and read."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from tests.google_faults import Fault, deny, storm
from tests.google_storage import GoogleStorage
from tests.trajectories.made_clips import SPEC, random_clip
from trajectories import (
    Failure,
    QueryError,
    ShardWriter,
    create_dataset,
    encode_clip,
    open_dataset,
    remote_file,
    sweep,
)
from trajectories.leasing import hold_lease
from trajectories.storage import Storage, connect

ROOT = "gs://out/some/tracks"
FAILURES = [Failure("gs://in/z.mp4", None, None, None, "open", "VideoError", "no stream", 1)]


def write_shards(root: str | Path, shards: int) -> None:
    create_dataset(root, SPEC)
    with hold_lease(connect(root)) as lease:
        for number in range(shards):
            with ShardWriter(root, f"s{number}") as writer:
                for start in range(3):
                    clip = random_clip(start, source=f"gs://in/{number}.mp4", start_s=start)
                    writer.add(encode_clip(clip))
                writer.commit(FAILURES, guard=lease.require)


def contents(store: Storage) -> dict[str, bytes]:
    folders = ("", "commits", "clips", "tracks", "points", "failures", "lease")
    names = [name for folder in folders for name in store.list_files(folder)]
    return store.read_many(names)


@pytest.mark.parametrize("share, seed", [(0.0, 0), (0.1, 5), (0.3, 6)])
def test_a_dataset_is_the_same_as_on_a_disk(
    google: GoogleStorage, waits: list[float], tmp_path: Path, share: float, seed: int
) -> None:
    write_shards(tmp_path, 4)
    google.reset(storm(seed, share))
    write_shards(ROOT, 4)
    assert sweep(ROOT) == []
    assert contents(connect(ROOT)) == contents(connect(tmp_path))
    here, there = open_dataset(tmp_path), open_dataset(ROOT)
    assert len(there) == 12
    for ours, theirs in zip(here, there, strict=True):
        assert ours.info == theirs.info
        assert (ours.tracks == theirs.tracks).all()
    assert here.clips().equals(there.clips())
    assert here.tracks(["clip_id"]).equals(there.tracks(["clip_id"]))
    assert there.clip(ours.info.clip_id).info == ours.info
    query = "SELECT clip_id, count(*), avg(x), sum(visible::INT) FROM points GROUP BY 1 ORDER BY 1"
    assert there.sql(query).fetchall() == here.sql(query).fetchall()
    assert len(there.sql(query).fetchall()) == 12
    assert (google.faults_met > 0) == (share > 0)


def test_how_many_requests_a_shard_costs(google: GoogleStorage) -> None:
    create_dataset(ROOT, SPEC)
    with hold_lease(connect(ROOT)) as lease:
        google.reset()
        for number in range(10):
            with ShardWriter(ROOT, f"s{number}") as writer:
                writer.add(encode_clip(random_clip(number)))
                writer.commit(FAILURES, guard=lease.require)
        counts = google.counts()
        # Four tables and the commit file; is it there, and the lease and its successor twice.
        assert counts == {"insert": 10 * 5, "get": 10 * 5}
    dataset = open_dataset(ROOT)
    google.reset()
    assert len(list(dataset)) == 10
    print(google.counts())
    # Two files of each shard: how large, and what they hold.
    assert google.counts() == {"meta": 20, "get": 20}


def test_what_a_query_costs(google: GoogleStorage) -> None:
    write_shards(ROOT, 4)
    dataset = open_dataset(ROOT)
    google.reset()
    assert dataset.sql("SELECT count(*), max(start_s) FROM clips").fetchall() == [(12, 2.0)]
    # The views look at one file of each of their tables; then the four of this one are read, each
    # asked about and opened a few times, and never is a folder listed.
    print(google.counts())
    assert google.counts()["list"] == 0
    assert len(google.requests) <= 60


def test_a_query_without_rights_is_one_line(google: GoogleStorage, waits: list[float]) -> None:
    write_shards(ROOT, 1)
    dataset = open_dataset(ROOT)
    google.reset(deny("out", "get", "meta", prefix="some/tracks/tracks"))
    with pytest.raises(QueryError) as caught:
        dataset.sql("SELECT count(*) FROM tracks").fetchall()
    message = str(caught.value)
    assert message.startswith(f"{ROOT}: cannot read {ROOT}/tracks/s0.parquet: access denied")
    assert "roles/storage.objectViewer on gs://out" in message
    assert "\n" not in message


def test_what_others_write_is_seen(google: GoogleStorage) -> None:
    store = connect(ROOT)
    store.write("a/1", b"1")
    assert store.list_files("a") == ["a/1"]
    google.put("out", "some/tracks/a/2", b"two")
    google.put("out", "some/tracks/a/1", b"longer")
    arrow = store.arrow_filesystem()
    assert arrow.open_input_file(store.path("a/2")).read() == b"two"
    assert arrow.open_input_file(store.path("a/1")).read() == b"longer"


def test_a_remote_file_reads_as_a_local_one(google: GoogleStorage) -> None:
    data = random.Random(2).randbytes(5000)
    google.put("out", "file", data)
    filesystem, path = remote_file.client_of("gs://out/file")
    with remote_file.open_remote(filesystem, path, 512) as file:
        rng, at = random.Random(3), 0
        for _ in range(300):
            if rng.random() < 0.5:
                at = rng.randrange(5200)
                assert file.seek(at) == at
            length = rng.choice((0, 1, 100, 511, 512, 513, 2000))
            assert file.read(length) == data[at : at + length]
            at = max(at, min(at + length, len(data)))
            assert file.tell() == at
        assert file.seek(-10, 2) == 4990
        assert file.read() == data[-10:]


def test_a_file_that_is_replaced_is_not_mixed_with_its_successor(google: GoogleStorage) -> None:
    google.put("out", "file", b"a" * 1000)
    filesystem, path = remote_file.client_of("gs://out/file")
    file = remote_file.open_remote(filesystem, path, 100)
    assert file.read(50) == b"a" * 50
    google.put("out", "file", b"b" * 1000)
    file.seek(500)
    with pytest.raises(FileNotFoundError):
        file.read(50)


def test_what_is_tried_again_is_said(
    google: GoogleStorage, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    google.reset(lambda request: Fault("refuse") if len(google.requests) <= 6 else None)
    with caplog.at_level(logging.WARNING, "trajectories"):
        connect(ROOT).write("x", b"x")
    ours = [record for record in caplog.records if record.name.startswith("trajectories")]
    lines = [record.getMessage() for record in ours]
    assert len(lines) == 1
    assert lines[0].startswith(f"{ROOT}/x: ")
    assert "503; trying again in" in lines[0]
