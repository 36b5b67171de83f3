"""Google's storage says no, or nothing: one line that names the file and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.google_faults import Fault, deny
from tests.google_storage import GoogleStorage
from tests.trajectories.made_clips import SPEC
from trajectories import (
    DatasetError,
    StorageError,
    create_dataset,
    open_dataset,
    remote_file,
)
from trajectories.storage import Storage, connect

ROOT = "gs://out/some/tracks"


CALLS: dict[str, Callable[[Storage], Any]] = {
    "write": lambda store: store.write("x", b"x"),
    "create": lambda store: store.create("x", b"x"),
    "read": lambda store: store.read("x"),
    "read many": lambda store: store.read_many(["x", "y"]),
    "list": lambda store: store.list_files(""),
    "entries": lambda store: store.entries(),
    "has": lambda store: store.has("x"),
    "remove": lambda store: store.remove("x"),
    "open": lambda store: store.arrow_filesystem().open_input_file(store.path("x")),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("effect", ["refuse", "drop"])
def test_a_store_that_stays_away_is_given_up(
    google: GoogleStorage,
    waits: list[float],
    call: str,
    effect: Any,
    capfd: pytest.CaptureFixture[str],
) -> None:
    store = connect(ROOT)
    google.reset(lambda request: Fault(effect))
    with pytest.raises(StorageError) as caught:
        CALLS[call](store)
    message = str(caught.value)
    assert "\n" not in message
    assert ROOT in message
    assert "run again later" in message
    assert caught.value.passing
    # Six attempts of gcsfs, again once ours has waited; then the minute is over. Two files are
    # read together first. aiohttp asks once more by itself where a used connection breaks.
    rounds = 4 if call == "read many" else 2
    assert 6 * rounds <= len(google.requests) <= 6 * rounds * (1 if effect == "refuse" else 2)
    assert sum(waits) < 37 * rounds
    assert "Traceback" not in capfd.readouterr().err


def test_a_server_that_says_nothing_is_given_up(
    google: GoogleStorage, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_file, "_SILENCE_SECONDS", 0.05)
    store = connect(ROOT)
    google.reset(lambda request: Fault("hang"))
    with pytest.raises(StorageError, match=r"/x: .*no answer in time\).*run again later"):
        store.write("x", b"x")
    assert len(google.requests) == 12


def test_nobody_listens(
    google: GoogleStorage, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    with pytest.raises(StorageError, match=r"cannot read gs://out/some/tracks/x: .*:1.*run again"):
        connect(ROOT).read("x")


@pytest.mark.parametrize("call, kinds, lines", [
    ("write", ("insert",), ["cannot write", "objects.create", "roles/storage.objectUser on gs://out"]),
    ("create", ("insert",), ["cannot write", "roles/storage.objectUser on gs://out"]),
    ("read", ("get",), ["cannot read", "objects.get", "roles/storage.objectViewer on gs://out"]),
    ("read many", ("get",), ["cannot read", "roles/storage.objectViewer on gs://out"]),
    ("list", ("list",), ["cannot read", "objects.list", "roles/storage.objectViewer on gs://out"]),
    ("entries", ("list",), ["cannot read", "roles/storage.objectViewer on gs://out"]),
    ("remove", ("delete",), ["cannot remove", "objects.delete", "roles/storage.objectUser"]),
    ("open", ("meta", "get"), ["cannot read", "roles/storage.objectViewer on gs://out"]),
])  # fmt: skip
def test_missing_rights_are_one_line_at_once(
    google: GoogleStorage, waits: list[float], call: str, kinds: Any, lines: list[str]
) -> None:
    store = connect(ROOT)
    google.reset(deny("out", *kinds))
    with pytest.raises(StorageError) as caught:
        CALLS[call](store)
    message = str(caught.value)
    assert "\n" not in message
    assert ROOT in message
    for line in lines:
        assert line in message
    assert not caught.value.passing
    assert waits == []
    assert google.faults_met <= 2


def test_credentials_that_are_missing(google: GoogleStorage, waits: list[float]) -> None:
    google.reset(lambda request: Fault("refuse", 401) if request.name.endswith("x") else None)
    with pytest.raises(StorageError, match=r"who is asking .*gcloud auth application-default"):
        connect(ROOT).write("x", b"x")


def test_a_bucket_that_is_not_there(google: GoogleStorage) -> None:
    for call in ("write", "create"):
        with pytest.raises(StorageError, match=r"gs://away/d/x: there is no bucket gs://away,"):
            CALLS[call](connect("gs://away/d"))
    with pytest.raises(DatasetError, match="gs://away/d is no dataset: there is nothing"):
        open_dataset("gs://away/d")
    with pytest.raises(StorageError, match=r"there is no bucket gs://away,"):
        create_dataset("gs://away/d", SPEC)
