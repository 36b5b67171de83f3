"""A shard is committed whole or not at all, and its bytes depend on its content alone."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trajectories.made_clips import SPEC, random_clip, write_dataset
from trajectories import (
    DatasetError,
    Failure,
    ShardWriter,
    StorageError,
    committed_shards,
    create_dataset,
    encode_clip,
    open_dataset,
    storage,
    sweep,
)
from trajectories.leasing import hold_lease

CLIPS = [
    encode_clip(random_clip(i, source=source, start_s=start))
    for i, (source, start) in enumerate([("/v/b.mp4", 0.0), ("/v/a.mp4", 10.0), ("/v/a.mp4", 2.0)])
]
FAILURES = [
    Failure("/v/z.mp4", None, None, None, "open", "VideoError", "no video stream", 1),
    Failure("/v/a.mp4", "0" * 32, 3.0, 4.0, "track", "ActorDiedError", "killed", 3),
]


def _files(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def _digests(root: Path) -> dict[str, str]:
    return {n: hashlib.sha256((root / n).read_bytes()).hexdigest() for n in _files(root)}


def _commit(root: Path | str, order: Iterator[int] | range = range(3)) -> Any:
    writer = ShardWriter(root, "s")
    for i in order:
        writer.add(CLIPS[i])
    return writer.commit(FAILURES)


def test_same_content_same_bytes(tmp_path: Path) -> None:
    for name, order in (("one", range(3)), ("two", range(2, -1, -1))):
        create_dataset(tmp_path / name, SPEC)
        writer = ShardWriter(tmp_path / name, "s")
        for i in order:
            writer.add(CLIPS[i])
        writer.commit(FAILURES if name == "one" else FAILURES[::-1])
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")
    sources = open_dataset(tmp_path / "one").clips(["source", "start_s"]).to_pylist()
    assert [(row["source"], row["start_s"]) for row in sources] == [
        ("/v/a.mp4", 2.0),
        ("/v/a.mp4", 10.0),
        ("/v/b.mp4", 0.0),
    ]


def test_receipt_tells_the_truth(tmp_path: Path) -> None:
    create_dataset(tmp_path, SPEC)
    receipt = _commit(tmp_path)
    assert (receipt.clips, receipt.tracks, receipt.failures) == (3, 27, 2)
    assert receipt.sources == {"/v/a.mp4": 2, "/v/b.mp4": 1, "/v/z.mp4": 0}
    digests = _digests(tmp_path)
    assert set(receipt.files) == {"clips", "tracks", "points", "failures"}
    for table, file in receipt.files.items():
        path = tmp_path / table / "s.parquet"
        assert file.sha256 == digests[f"{table}/s.parquet"]
        assert file.bytes == path.stat().st_size
    assert receipt.bytes == sum(file.bytes for file in receipt.files.values())
    assert receipt.files["tracks"].rows == 27
    assert committed_shards(tmp_path) == {"s": receipt}


def test_only_failures_make_only_a_failures_file(tmp_path: Path) -> None:
    create_dataset(tmp_path, SPEC)
    assert set(ShardWriter(tmp_path, "f").commit(FAILURES).files) == {"failures"}
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 0
    assert list(dataset) == []
    assert dataset.failures().num_rows == 2


def test_abort_leaves_nothing(tmp_path: Path) -> None:
    create_dataset(tmp_path, SPEC)
    with ShardWriter(tmp_path, "s") as writer:
        writer.add(CLIPS[0])
    assert _files(tmp_path) == {"dataset.json"}
    with pytest.raises(DatasetError, match="already committed or aborted"):
        writer.add(CLIPS[1])


def test_committing_twice_keeps_the_first(tmp_path: Path) -> None:
    create_dataset(tmp_path, SPEC)
    first = _commit(tmp_path)
    before = _digests(tmp_path)
    writer = ShardWriter(tmp_path, "s")
    writer.add(CLIPS[0])
    assert writer.commit() == first
    assert _digests(tmp_path) == before


def test_a_clip_twice_is_refused() -> None:
    writer = ShardWriter("/nowhere", "s")
    writer.add(CLIPS[0])
    with pytest.raises(DatasetError, match="added twice"):
        writer.add(CLIPS[0])


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../up", "a b", "x" * 201])
def test_shard_names_are_file_names(name: str) -> None:
    with pytest.raises(DatasetError, match="shard name"):
        ShardWriter("/nowhere", name)


def test_names_that_are_not_text(tmp_path: Path) -> None:
    """A file name that is no UTF-8 reaches Python with lone surrogates."""
    create_dataset(tmp_path, SPEC)
    writer = ShardWriter(tmp_path, "s")
    writer.add(encode_clip(random_clip(0, source="/v/\udcff.mp4")))
    receipt = writer.commit([Failure("/v/\udcfe", None, None, None, "open", "E", "\udcfe", 1)])
    assert open_dataset(tmp_path).clips(["source"]).to_pylist() == [{"source": "/v/\\udcff.mp4"}]
    assert set(receipt.sources) == {"/v/\\udcff.mp4", "/v/\\udcfe"}


class Killed(BaseException):
    """The process ends here."""


class Faults:
    """Lets storage calls through until the nth, which fails half done."""

    def __init__(self, patch: pytest.MonkeyPatch, nth: int, error: BaseException, for_good: bool):
        self.left, self.error, self.for_good, self.fired = nth, error, for_good, False
        for owner, name in [
            (storage, "_write_bytes"),
            (storage, "_sync"),
            (os, "replace"),
            (os, "unlink"),
        ]:
            patch.setattr(owner, name, self._wrap(name, getattr(owner, name)))

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            if self.fired:
                if self.for_good:
                    raise self.error
                return call(*arguments)
            self.left -= 1
            if self.left:
                return call(*arguments)
            self.fired = True
            if name == "_write_bytes":
                path, data = arguments
                call(path, data[: len(data) // 2])
            raise self.error

        return wrapped


@pytest.mark.parametrize("mode", ["full disk", "killed"])
def test_a_fault_at_any_write(tmp_path: Path, mode: str) -> None:
    nth = 0
    while True:
        nth += 1
        root = tmp_path / str(nth)
        write_dataset(root, {"before": [random_clip(7, source="/v/before.mp4")]})
        settled = _files(root)
        error = OSError(errno.ENOSPC, "full") if mode == "full disk" else Killed()
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, nth, error, for_good=mode == "killed")
            try:
                _commit(root)
            except (StorageError, Killed) as caught:
                message = str(caught)
                assert isinstance(caught, Killed if mode == "killed" else StorageError)  # noqa: PT017
        if mode == "full disk" and faults.fired:
            assert "the disk is full; free some space" in message
            assert str(root) in message
            # The process lived on, so it has cleaned up after itself.
            assert _files(root) == settled
        # Readers see the shard whole or not at all, before and after sweeping.
        for swept in (False, True):
            dataset = open_dataset(root)
            assert len(dataset) in (1, 4)
            assert len(list(dataset)) == dataset.clips().num_rows == len(dataset)
            if not swept:
                sweep(root)
        assert _files(root) in (settled, settled | _shard_files())
        # The same shard can then be written as if nothing had happened.
        _commit(root)
        assert _files(root) == settled | _shard_files()
        assert len(open_dataset(root)) == 4
        if not faults.fired:
            break
    assert nth > 20  # five files, each written, flushed, renamed and its folder flushed


def _shard_files() -> set[str]:
    tables = ("clips", "tracks", "points", "failures")
    return {f"{table}/s.parquet" for table in tables} | {"commits/s.json"}


def test_the_commit_file_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_dataset(tmp_path, SPEC)
    renamed = []
    replace = os.replace

    def spy(source: str, target: str) -> None:
        assert len(list(tmp_path.rglob(".s.*.tmp"))) == 5 - len(renamed)
        renamed.append(os.path.relpath(target, tmp_path))
        replace(source, target)

    monkeypatch.setattr(os, "replace", spy)
    _commit(tmp_path)
    assert renamed[-1] == "commits/s.json"
    assert len(renamed) == 5


def test_sweep_touches_only_what_is_ours(tmp_path: Path) -> None:
    create_dataset(tmp_path, SPEC)
    _commit(tmp_path)
    ours = ["clips/dead.parquet", "points/.dead.0011.tmp", "commits/.dead.0011.tmp", ".x.1.tmp"]
    foreign = ["clips/notes.txt", "other/x.parquet", "README"]
    for name in ours + foreign:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert sorted(sweep(tmp_path)) == sorted(ours)
    assert _files(tmp_path) == {"dataset.json", *_shard_files(), *foreign}
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(DatasetError, match="nothing removed"):
        sweep(tmp_path)


def test_damaged_and_newer_commit_files(tmp_path: Path) -> None:
    create_dataset(tmp_path, SPEC)
    _commit(tmp_path)
    path = tmp_path / "commits" / "s.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"schema_version": 99, "unheard_of": 1}))
    with pytest.raises(DatasetError, match=r"s\.json has schema version 99.*upgrade"):
        committed_shards(tmp_path)
    path.write_text("{}")
    with pytest.raises(DatasetError, match=r"s\.json is no commit file"):
        committed_shards(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    create_dataset(tmp_path, SPEC)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="check the folder's permissions"):
            _commit(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"file/d/dataset\.json: a file stands where"):
        create_dataset(tmp_path / "file" / "d", SPEC)


def test_object_store_fault_at_any_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    upload = MemoryFileSystem.pipe_file
    for nth in range(1, 7):
        root = f"memory://faults-{nth}"
        create_dataset(root, SPEC)
        calls = iter(range(1, 99))

        def pipe_file(self: Any, path: str, value: bytes, nth: int = nth, **rest: Any) -> None:
            if next(calls) == nth:  # noqa: B023 the loop's own counter is wanted
                raise RuntimeError("503 Service Unavailable")
            upload(self, path, value, **rest)

        with monkeypatch.context() as patch:
            patch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
            if nth <= 5:
                with pytest.raises(StorageError, match="503 Service Unavailable"):
                    _commit(root)
            else:
                _commit(root)
        assert len(open_dataset(root)) == (0 if nth <= 5 else 3)
        assert sweep(root) == []
        _commit(root)
        assert len(list(open_dataset(root))) == 3


def test_an_object_store_is_not_listed_for_each_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    root = "memory://listings"
    create_dataset(root, SPEC)
    listed = []
    list_folder = MemoryFileSystem.ls
    monkeypatch.setattr(
        MemoryFileSystem,
        "ls",
        lambda self, path, *rest, **named: (
            listed.append(path) or list_folder(self, path, *rest, **named)
        ),
    )
    with hold_lease(storage.connect(root)) as lease:
        listed.clear()
        for number in range(5):
            for _ in range(2):  # the second finds it committed
                with ShardWriter(root, f"s{number}") as writer:
                    writer.add(CLIPS[0])
                    writer.commit(FAILURES, guard=lease.require)
        assert listed == []
    assert len(committed_shards(root)) == 5


def test_emulators_are_spared_the_zonal_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "x")
    monkeypatch.delenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://localhost:1")
    storage.connect("gs://x")
    assert os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] == "false"


def test_an_unknown_protocol() -> None:
    with pytest.raises(StorageError, match="nosuch://x"):
        open_dataset("nosuch://x")
