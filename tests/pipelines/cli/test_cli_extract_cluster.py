"""`tapirus extract` on a cluster: which process does what."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.extract_cluster import wants_supervision
from pipelines.extract import ExtractSettings, ExtractSummary
from pipelines.extract.supervise import Ended
from pipelines.extract.supervised import Supervision
from tests.pipelines.cli.cli_makers import Outcome

Run = Callable[..., Outcome]
ON_A_CLUSTER = ("extract", "a.mp4", "-o", "out", "--ray-address", "127.0.0.1:1")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ExtractSettings]:
    """Settings of the extractions in this process, which do not run."""
    seen: list[ExtractSettings] = []

    def run_extract(
        inputs: list[str], output: str, settings: ExtractSettings, *words: object, **more: object
    ) -> ExtractSummary:
        seen.append(settings)
        return ExtractSummary(output, clips=1)

    monkeypatch.setattr("pipelines.cli.extract.run_extract", run_extract)
    return seen


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Children that were started, as command and what came before; each is lost."""
    seen: list[Any] = []

    class Child:
        pid = 4711

        def __init__(self, command: list[str], before: Ended | None) -> None:
            seen.append((command, before))

        def wait(self) -> Ended:
            return Ended(1, joined=True)

        def signal(self, number: int) -> None:
            raise AssertionError

    monkeypatch.setattr("pipelines.cli.extract_cluster.ChildProcess", Child)
    return seen


@pytest.mark.parametrize(
    "address, timeout, wanted",
    [
        (None, 1800.0, False),
        ("head:6379", 1800.0, True),
        ("ray://head:10001", 1800.0, True),
        ("auto", None, True),
        ("head:6379", 0.0, False),
    ],
)
def test_a_supervisor_is_for_a_cluster_that_may_come_back(
    address: str | None, timeout: float | None, wanted: bool
) -> None:
    settings = ExtractSettings(ray_address=address, cluster_timeout=timeout)
    assert wants_supervision(settings) is wanted


def test_a_cluster_that_stays_away_is_exit_code_75(
    tapirus: Run, children: list[Any], asked: list[ExtractSettings], tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGINT)
    outcome = tapirus(*ON_A_CLUSTER, "--cluster-timeout", "0.1", "--grid", 7)
    assert (outcome.code, outcome.out, asked) == (75, "", [])
    gone, given_up = outcome.err.splitlines()
    assert gone.startswith("the Ray cluster at 127.0.0.1:1 is gone; waiting for it, up to 0:00")
    assert given_up.startswith("tapirus: the Ray cluster at 127.0.0.1:1 did not come back")
    ((command, ended),) = children
    assert ended is None
    assert command[-5:] == ["127.0.0.1:1", "--cluster-timeout", "0.1", "--grid", "7"]
    assert signal.getsignal(signal.SIGINT) is before


def test_without_a_timeout_there_is_one_process(
    tapirus: Run, children: list[Any], asked: list[ExtractSettings]
) -> None:
    assert tapirus(*ON_A_CLUSTER, "--cluster-timeout", 0).code == 0
    assert (len(asked), children) == (1, [])


@pytest.mark.parametrize("again", [False, True])
def test_a_run_that_goes_on_takes_the_dataset_from_nobody(
    tapirus: Run,
    children: list[Any],
    asked: list[ExtractSettings],
    monkeypatch: pytest.MonkeyPatch,
    again: bool,
) -> None:
    found = Supervision(1, 1, again, (0.0, 0.0))
    monkeypatch.setattr("pipelines.cli.extract.adopt", lambda: found)
    assert tapirus(*ON_A_CLUSTER, "--take-over").code == 0
    assert children == []
    assert [settings.take_over for settings in asked] == [not again]
