"""`tapirus status`: text, JSON and exit codes for every kind of run and none."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.extract import ExtractSettings, settings_to_dict
from pipelines.extract.monitor import Monitor
from pipelines.extract.observe import new_run
from pipelines.extract.status import FILE, RunStatus
from tests.pipelines.cli.cli_makers import Outcome
from trajectories import Dataset
from trajectories.leasing import hold_lease

Run = Callable[..., Outcome]


def leave_status(root: str, **values: object) -> RunStatus:
    """As the driver of a run in this process would."""
    settings = settings_to_dict(ExtractSettings())
    base = RunStatus(
        new_run(root, "stub", settings), "running", "", time.time(), 2.0, Monitor(3, 1).snapshot()
    )
    status = dataclasses.replace(base, **values)  # type: ignore[arg-type]
    (Path(root) / FILE).write_bytes(status.to_json())
    return status


def test_a_run_that_goes_on(tapirus: Run, dataset: Dataset) -> None:
    status = leave_status(dataset.root)
    outcome = tapirus("status", dataset.root)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"run       {status.run.run} on {status.run.host}" in outcome.out
    assert "state     running" in outcome.out
    values = json.loads(tapirus("status", dataset.root, "--json").out)
    assert values["sign"] == "running"
    assert values["run"]["run"] == status.run.run


@pytest.mark.parametrize(
    "state,words,code",
    [
        ("done", "state     done", 0),
        ("stopped", "state     stopped", 1),
        ("failed", "state     failed: disk full", 1),
    ],
)
def test_a_run_that_is_over(
    tapirus: Run, dataset: Dataset, state: str, words: str, code: int
) -> None:
    leave_status(dataset.root, state=state, reason="disk full")
    outcome = tapirus("status", dataset.root, "--watch")  # nothing to wait for
    assert outcome.code == code
    assert words in outcome.out
    assert ("go on     in " in outcome.out) == bool(code)


def test_a_run_that_was_killed(tapirus: Run, dataset: Dataset) -> None:
    run = dataclasses.replace(new_run(dataset.root, "stub", {}), process_started="1")
    leave_status(dataset.root, run=run)
    outcome = tapirus("status", dataset.root)
    assert outcome.code == 1
    assert "state     dead" in outcome.out


def test_a_run_that_loads_its_trackers(tapirus: Run, tmp_path: Path) -> None:
    from trajectories.storage import connect

    root = tmp_path / "new"
    with hold_lease(connect(root)):
        outcome = tapirus("status", root)
        assert (outcome.code, outcome.err) == (0, "")
        assert "state     starting since" in outcome.out
        assert json.loads(tapirus("status", root, "--json").out)["sign"] == "starting"


def test_watching_ends_with_the_run(
    tapirus: Run, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_status(dataset.root)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            leave_status(dataset.root, state="done")

    monkeypatch.setattr("pipelines.cli.status.time.sleep", wait)
    outcome = tapirus("status", dataset.root, "--watch", "--json")
    signs = [json.loads(line)["sign"] for line in outcome.out.splitlines()]
    assert signs == ["running", "running", "done"]
    assert (outcome.code, len(waited)) == (0, 2)


def test_a_dataset_without_a_status(tapirus: Run, dataset: Dataset) -> None:
    outcome = tapirus("status", dataset.root)
    assert (outcome.code, outcome.err) == (0, "")
    assert "clips     2 in 1 shards" in outcome.out
    assert "none has left a status" in outcome.out
    values = json.loads(tapirus("status", dataset.root, "--json").out)
    assert values == {"sign": None, "clips": 2, "failures": 1}


def test_no_dataset_is_one_line(tapirus: Run, tmp_path: Path) -> None:
    outcome = tapirus("status", tmp_path / "nowhere")
    assert (outcome.code, outcome.out) == (1, "")
    assert "is no dataset" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_damaged_status_is_one_line(tapirus: Run, dataset: Dataset) -> None:
    (Path(dataset.root) / FILE).write_text("{")
    outcome = tapirus("status", dataset.root)
    assert (outcome.code, outcome.out) == (1, "")
    assert "is no status of a run" in outcome.err
