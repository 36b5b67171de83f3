"""Settings of `tapirus extract` from a file and from flags."""

from __future__ import annotations

import tomllib
from typing import Any

import click

from pipelines.cli.options import NONE, flag_name, is_optional
from pipelines.extract import ExtractSettings, SettingsError, options, settings_from_dict
from pipelines.extract.estimate import Prices
from pipelines.training.settings import settings_from


def settings_of(config: str | None, flags: dict[str, Any]) -> tuple[ExtractSettings, Prices]:
    """Settings and prices: the defaults, changed by a TOML file, changed by flags.

    Raises ClickException or SettingsError.
    """
    settings, prices = ExtractSettings(), Prices()
    if config is not None:
        try:
            with open(config, "rb") as file:
                values = tomllib.load(file)
            prices = _prices(values.pop("prices", {}))
            settings = settings_from_dict(_with_none(values), settings)
        except ValueError as error:
            raise click.ClickException(f"{config}: {error}") from error
    given: dict[str, Any] = {}
    for option in options():
        value = flags.get(flag_name(option.key)[2:].replace("-", "_"))
        if value is not None:
            part, _, name = option.key.rpartition(".")
            table = given.setdefault(part, {}) if part else given
            table[name] = None if value is NONE else value
    return settings_from_dict(given, settings), prices


def _prices(values: Any) -> Prices:
    if not isinstance(values, dict):
        raise SettingsError('"prices" must be a table, such as [prices] with gpu_hour = 0.35')
    return settings_from(Prices, values, "prices.")


def _with_none(values: dict[str, Any]) -> dict[str, Any]:
    """The word "none" as None where a setting may be that: TOML has no value of its own for it."""
    values = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for option in options():
        part, _, name = option.key.rpartition(".")
        table = values.get(part) if part else values
        if is_optional(option) and isinstance(table, dict) and table.get(name) == "none":
            table[name] = None
    return values
