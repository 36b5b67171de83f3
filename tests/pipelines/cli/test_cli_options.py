"""Settings as flags and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.options import as_click_option, flag_name
from pipelines.extract import ExtractSettings, ExtractSummary, options
from tests.pipelines.cli.cli_makers import Outcome

Run = Callable[..., Outcome]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `tapirus extract` asks of the extraction, which does not run."""
    seen: dict[str, Any] = {}

    def run_extract(
        inputs: list[str],
        output: str,
        settings: ExtractSettings,
        beam_options: list[str],
        progress: object,
        observers: list[object],
        **more: object,
    ) -> ExtractSummary:
        seen.update(inputs=inputs, output=output, settings=settings, beam=beam_options)
        return ExtractSummary(output, clips=1)

    monkeypatch.setattr("pipelines.cli.extract.run_extract", run_extract)
    return seen


def test_every_setting_has_one_flag() -> None:
    flags = [flag_name(option.key) for option in options()]
    assert len(set(flags)) == len(flags)
    for option in options():
        made = as_click_option(option)
        assert made.opts == [flag_name(option.key)]
        assert made.default is None


def test_without_flags_the_defaults_stand(tapirus: Run, asked: dict[str, Any]) -> None:
    assert tapirus("extract", "a.mp4", "b", "-o", "out").code == 0
    assert asked == {
        "inputs": ["a.mp4", "b"],
        "output": "out",
        "settings": ExtractSettings(),
        "beam": [],
    }


def test_flags_win_over_the_file_and_the_file_over_defaults(
    tapirus: Run, asked: dict[str, Any], tmp_path: Path
) -> None:
    config = tmp_path / "run.toml"
    config.write_text("grid = 5\nstrict = true\n[clip]\nsize = 32\nfps = 12\nmax_clips = 3\n")
    words = ("--config", config, "--grid", 7, "--num-frames", 9, "--max-clips", "none")
    assert tapirus("extract", "a", "-o", "out", *words).code == 0
    settings = asked["settings"]
    assert (settings.grid, settings.strict) == (7, True)
    assert (settings.clip.num_frames, settings.clip.size, settings.clip.fps) == (9, 32, 12)
    assert settings.clip.max_clips is None
    assert settings.shard_clips == ExtractSettings().shard_clips
    assert tapirus("extract", "a", "-o", "out", "--config", config, "--no-strict").code == 0
    assert not asked["settings"].strict


def test_none_can_be_said_in_flags_and_files(
    tapirus: Run, asked: dict[str, Any], tmp_path: Path
) -> None:
    assert ExtractSettings().clip.cut_threshold is not None
    tapirus("extract", "a", "-o", "out", "--cut-threshold", "none")
    assert asked["settings"].clip.cut_threshold is None
    config = tmp_path / "run.toml"
    config.write_text('[clip]\ncut_threshold = "none"\n')
    tapirus("extract", "a", "-o", "out", "--config", config)
    assert asked["settings"].clip.cut_threshold is None


@pytest.mark.parametrize(
    "text,words",
    [
        ("gird = 4", ["gird", "grid"]),
        ("[clip]\nszie = 4", ["clip.szie", "clip.size"]),
        ('grid = "many"', ["grid", "many"]),
        ('grid = "none"', ["grid", "none"]),
        ("grid = 0", ["grid", "at least 1"]),
        ("[clip]\nsize = 2", ["size", "at least 16"]),
        ("clip = 3", ["clip", "table"]),
        ("grid =\n", ["line 1"]),
    ],
)
def test_a_bad_file_is_named_with_the_key(
    tapirus: Run, asked: dict[str, Any], tmp_path: Path, text: str, words: list[str]
) -> None:
    config = tmp_path / "bad.toml"
    config.write_text(text)
    outcome = tapirus("extract", "a", "-o", "out", "--config", config)
    assert (outcome.code, outcome.out, asked) == (1, "", {})
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith(f"tapirus: {config}: ")
    for word in words:
        assert word in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        ("--grid", "many"),
        ("--grid", "none"),
        ("--fit", "stretch"),
        ("--cut-threshold", "some"),
        ("--config", "/no/such.toml"),
        ("--frobnicate",),
        ("--", "b.mp4"),
    ],
)
def test_bad_flags_are_wrong_usage(
    tapirus: Run, asked: dict[str, Any], words: tuple[str, ...]
) -> None:
    outcome = tapirus("extract", "a", "-o", "out", *words)
    assert (outcome.code, outcome.out, asked) == (2, "", {})
    assert words[-1] in outcome.err


def test_words_after_two_dashes_go_to_beam(tapirus: Run, asked: dict[str, Any]) -> None:
    beam = ["--runner=FlinkRunner", "--flink_master", "host:8081", "--grid", "9"]
    assert tapirus("extract", "a", "-o", "out", "--grid", 4, "--", *beam).code == 0
    assert asked["beam"] == beam
    assert (asked["inputs"], asked["settings"].grid) == (["a"], 4)


def test_help_parts_what_decides_the_content_from_how_it_runs(tapirus: Run) -> None:
    text = tapirus("extract", "--help").out
    content, run = text.index("Content of the dataset"), text.index("This run:")
    for option in options():
        place = text.index(f"  {flag_name(option.key)} ", content)
        assert (content < place < run) if option.scope == "dataset" else place > run
