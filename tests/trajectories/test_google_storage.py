"""Every call of `ObjectStorage` on Google's storage, with and without faults."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.google_faults import Fault, once, storm
from tests.google_storage import GoogleStorage
from trajectories import (
    remote_file,
)
from trajectories.storage import connect

ROOT = "gs://out/some/tracks"


def test_every_call(google: GoogleStorage) -> None:
    store = connect(ROOT)
    assert store.exclusive
    assert store.entries() == store.list_files("") == store.list_files("a") == []
    with pytest.raises(FileNotFoundError):
        store.read("a/b")
    for number in range(7):
        store.write(f"a/{number}", b"x%d" % number)
    store.write("a/deep/er", b"")
    store.write("top", b"old")
    store.write("top", b"new")
    assert store.list_files("a") == [f"a/{n}" for n in range(7)]
    assert store.list_files("") == ["top"]
    assert store.entries() == ["a", "top"]
    assert store.read("top") == b"new"
    assert store.read("a/deep/er") == b""
    assert store.read_many(store.list_files("a")) == {f"a/{n}": b"x%d" % n for n in range(7)}
    assert store.read_many([]) == {}
    with pytest.raises(FileNotFoundError):
        store.read_many(["a/1", "a/none"])
    assert store.has("top")
    assert not store.has("a")
    assert store.create("made", b"1")
    assert not store.create("made", b"2")
    assert store.read("made") == b"1"
    for _ in range(2):
        store.remove("made")
    assert not store.has("made")
    store.discard(store.stage("never", b"x"))
    store.prune("a")
    large = random.Random(1).randbytes(51 * 2**20)  # is sent in parts
    store.write("large", large)
    assert google.bucket("out")["some/tracks/large"] == large
    assert store.read("large") == large
    assert store.url("a/1") == f"{ROOT}/a/1"


def test_zonal_buckets_are_looked_for_only_when_asked(
    google: GoogleStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever imported gcsfs before, and with what in the environment."""
    from gcsfs.extended_gcsfs import ExtendedGcsFileSystem

    for value in (None, "false", "0"):
        if value is None:
            monkeypatch.delenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT")
        else:
            monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", value)
        filesystem, path = remote_file.client_of("gs://out/x")
        assert path == "out/x"
        assert not isinstance(filesystem, ExtendedGcsFileSystem)


def created(name: str) -> str:
    store = connect(ROOT)
    return " ".join(str(n) for n in range(30) if store.create(str(n), name.encode()))


def check_winners(google: GoogleStorage, won: dict[str, str]) -> None:
    """Each of thirty files has one creator, and holds what that one wrote."""
    found = {int(n): name for name, numbers in won.items() for n in numbers.split()}
    assert sum(len(numbers.split()) for numbers in won.values()) == len(found) == 30
    there = google.bucket("out")
    assert {n: there[f"some/tracks/{n}"].decode() for n in range(30)} == found


def test_of_many_threads_that_create_a_file_one_wins(
    google: GoogleStorage, waits: list[float]
) -> None:
    google.reset(storm(1, 0.2, [Fault("lose"), Fault("refuse"), Fault("slow", seconds=0.01)]))
    names = [f"thread {n}" for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        won = dict(zip(names, pool.map(created, names), strict=True))
    check_winners(google, won)


def test_of_several_processes_that_create_a_file_one_wins(google: GoogleStorage) -> None:
    code = (
        "import sys; from tests.trajectories.test_google_storage import created; input();"
        "print(created(sys.argv[1]))"
    )
    others = {
        name: subprocess.Popen(
            [sys.executable, "-c", code, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    }
    for other in others.values():
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
    won = {name: other.communicate(timeout=60)[0] for name, other in others.items()}
    check_winners(google, won)


@pytest.mark.parametrize("effect", ["lose", "cut", "drop", "refuse"])
def test_an_answer_that_is_lost_changes_nothing(
    google: GoogleStorage, waits: list[float], effect: str
) -> None:
    store = connect(ROOT)
    google.reset(once(effect, "insert"))
    assert store.create("made", b"mine")
    assert google.faults_met == 1
    google.reset(once(effect, "insert"))
    assert not store.create("made", b"other")
    google.reset(once(effect, "insert"))
    store.write("written", b"1")
    google.reset(once(effect, "delete"))
    store.remove("written")
    google.reset(once(effect, "get"))
    assert store.read("made") == b"mine"
    google.reset(once(effect, "list"))
    assert store.list_files("") == ["made"]
    assert google.faults_met == 1
    google.reset(once(effect, "insert"))
    large = bytes(51 * 2**20)
    store.write("large", large)
    assert google.bucket("out") == {"some/tracks/made": b"mine", "some/tracks/large": large}


@pytest.mark.parametrize("share, seed", [(0.1, 1), (0.2, 2), (0.3, 3), (0.3, 4)])
def test_in_a_storm_what_is_read_is_what_was_written(
    google: GoogleStorage, waits: list[float], share: float, seed: int
) -> None:
    google.reset(storm(seed, share))
    store = connect(ROOT)
    rng = random.Random(seed)
    there: dict[str, bytes] = {}
    for step in range(150):
        name = f"{rng.choice('ab')}/{rng.randrange(6)}"
        data = rng.randbytes(rng.choice((0, 1, 100, 100_000)))
        match rng.randrange(6):
            case 0 | 1:
                store.write(name, data)
                there[name] = data
            case 2:
                assert store.create(name, data) == (name not in there or there[name] == data), step
                there.setdefault(name, data)
            case 3:
                store.remove(name)
                there.pop(name, None)
            case 4:
                assert store.has(name) == (name in there), step
            case 5:
                folder = [known for known in there if known.startswith(name[:2])]
                assert store.list_files(name[0]) == sorted(folder), step
                assert store.read_many(folder) == {n: there[n] for n in folder}, step
    assert google.faults_met > 150 * share / 2
    assert google.bucket("out") == {f"some/tracks/{n}": d for n, d in there.items()}
