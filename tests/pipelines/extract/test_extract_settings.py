"""Settings to and from plain values."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from pipelines.extract import (
    ExtractSettings,
    SettingsError,
    options,
    settings_from_dict,
    settings_to_dict,
)
from pipelines.video import ClipSettings


def test_round_trip_through_json() -> None:
    settings = ExtractSettings(grid=8, clip=ClipSettings(num_frames=12, fps=5), strict=True)
    assert settings_from_dict(json.loads(json.dumps(settings_to_dict(settings)))) == settings


def test_toml_changes_what_it_names_and_nothing_else() -> None:
    text = 'tracker = "tapir"\ngrid = 16\n[clip]\nsize = 128\nfps = 10\n'
    base = ExtractSettings(max_attempts=5)
    settings = settings_from_dict(tomllib.loads(text), base)
    assert (settings.tracker, settings.grid, settings.max_attempts) == ("tapir", 16, 5)
    assert settings.clip == ClipSettings(size=128, fps=10)


def test_the_datasets_own_settings_are_those_that_decide_its_content() -> None:
    dataset = settings_to_dict(ExtractSettings(), "dataset")
    assert set(dataset) == {"tracker", "dtype", "grid", "query_frame", "clip", "shard_clips"}
    run = settings_to_dict(ExtractSettings(), "run")
    assert set(run) | set(dataset) == set(settings_to_dict(ExtractSettings()))
    assert not set(run) & set(dataset)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"grdi": 3}, 'unknown setting "grdi"; did you mean "grid"'),
        ({"clip": {"sise": 3}}, 'unknown setting "clip.sise"; did you mean "clip.size"'),
        ({"grid": "3"}, "grid is '3': must be a whole number"),
        ({"grid": True}, "grid is True: must be a whole number"),
        ({"num_actors": 1.5}, "must be a whole number or none"),
        ({"grid": 0}, "grid is 0: must be at least 1"),
        ({"query_frame": "last"}, "must be 'first' or 'middle'"),
        ({"clip": 3}, "must be a table"),
        ({"clip": {"num_frames": 1}}, "num_frames is 1: must be at least 2"),
        ({"start_timeout": 0}, "must be positive"),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_dict(values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_setting_has_a_help_text_and_its_default() -> None:
    found = {option.key: option for option in options()}
    assert len(found) == len(options())
    assert all(option.help for option in found.values())
    assert found["grid"].default == ExtractSettings().grid
    assert found["clip.size"].default == ClipSettings().size
    values: dict[str, Any] = {}
    for key, option in found.items():
        table, _, name = key.rpartition(".")
        (values.setdefault(table, {}) if table else values)[name] = option.default
    assert settings_from_dict(values) == ExtractSettings()
