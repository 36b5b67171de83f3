"""`tapirus extract --dry-run` and the flags around a run, as far as they need no cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.cli.cli_makers import Outcome

Run = Callable[..., Outcome]


def test_no_cluster_is_told_with_the_rest(tapirus: Run, tmp_path: Path, video: Path) -> None:
    out = tmp_path / "out"
    outcome = tapirus("extract", video, "-o", out, "--dry-run", "--ray-address", "localhost:1")
    lines = [line.split()[:2] for line in outcome.out.splitlines()]
    assert lines == [
        ["ok", "inputs"],
        ["ok", "dataset"],
        ["ok", "storage"],
        ["ok", "rights"],
        ["FAILED", "cluster"],
    ]
    assert "no Ray cluster answers at localhost:1" in outcome.out
    assert (outcome.code, outcome.err) == (1, "a run would fail\n")
    assert not out.exists()
    assert not (tmp_path / "out.estimate.json").exists()


@pytest.mark.parametrize(
    "text,words",
    [
        ("prices = 3", '"prices" must be a table'),
        ("[prices]\ngpu_our = 1", "did you mean 'prices.gpu_hour'"),
        ("[prices]\ngpu_hour = -1", "prices.gpu_hour is -1"),
        ("[prices]\ncurrency = 5", "prices.currency is 5: must be of type str"),
        ("[price]\ngpu_hour = 1", 'unknown setting "price"'),
    ],
)
def test_prices_are_checked(
    tapirus: Run, tmp_path: Path, video: Path, text: str, words: str
) -> None:
    config = tmp_path / "extract.toml"
    config.write_text(text)
    outcome = tapirus("extract", video, "-o", tmp_path / "out", "--config", config)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"tapirus: {config}: ")
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    "words,text",
    [
        (("--estimate", "{tmp}/none.json"), "none.json: no such estimate; make it with --dry-run"),
        (("--estimate", "{tmp}/text.json"), "text.json is no estimate"),
        (("--log-json", "{tmp}/none/run.jsonl"), "none/run.jsonl: No such file or directory"),
    ],
)
def test_what_is_beside_a_run_is_checked_before_it(
    tapirus: Run, tmp_path: Path, video: Path, words: tuple[str, ...], text: str
) -> None:
    (tmp_path / "text.json").write_text("{}")
    filled = [word.format(tmp=tmp_path) for word in words]
    outcome = tapirus("extract", video, "-o", tmp_path / "out", *filled)
    assert (outcome.code, outcome.out) == (1, "")
    assert text in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
