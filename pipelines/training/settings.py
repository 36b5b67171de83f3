"""From a TOML file to nested frozen dataclasses, with errors that name the file and the setting."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")


def read_settings(path: str | Path, cls: type[Settings]) -> Settings:
    """An instance of the dataclass ``cls`` with the values of a TOML file, defaults elsewhere.

    A field that is itself a dataclass is a table of the file; one of type ``dict[str, Any]`` takes
    a table as it stands. A file that ``extends`` another, named from its own folder, says only
    what differs from that one.

    Raises ValueError naming the file, and the setting where a name is unknown or a value is of
    another type; ranges are checked by the dataclasses themselves.
    """
    try:
        return settings_from(cls, _read(Path(path).resolve()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(path: Path, extended: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A file's values over those of the files that it extends; tables are merged."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    name = values.pop("extends", None)
    if name is None:
        return values
    base = (path.parent / str(name)).resolve()
    if base in (path, *extended) or not base.is_file():
        raise ValueError(f"extends {name!r}: no such file, or one that extends this one")
    return _over(_read(base, (*extended, path)), values)


def _over(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    merged = {**base, **values}
    for name in base.keys() & values.keys():
        if isinstance(base[name], dict) and isinstance(values[name], dict):
            merged[name] = _over(base[name], values[name])
    return merged


def settings_from(cls: type[Settings], values: Mapping[str, Any], prefix: str = "") -> Settings:
    """The same from a mapping, such as a JSON object. Raises ValueError naming the setting."""
    hints = get_type_hints(cls)
    checked = {}
    for name, value in values.items():
        if name not in hints:
            close = difflib.get_close_matches(name, hints, n=1)
            hint = f"; did you mean {prefix + close[0]!r}?" if close else ""
            raise ValueError(
                f"unknown setting {prefix + name!r}{hint} (known: {', '.join(sorted(hints))})"
            )
        checked[name] = _as_type(prefix + name, value, hints[name])
    return cls(**checked)


def _as_type(name: str, value: Any, hint: Any) -> Any:
    """A value as TOML or JSON gives it, as the type of its field."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be a table of settings")
        return settings_from(hint, value, f"{name}.")
    if get_origin(hint) is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be a table of settings")
        return dict(value)
    parts = get_args(hint)
    if get_origin(hint) is tuple and isinstance(value, list) and len(value) == len(parts):
        return tuple(_as_type(name, *pair) for pair in zip(value, parts, strict=True))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number:
        return float(value)
    if type(value) is hint:
        return value
    shown = f"{len(parts)} numbers" if parts else f"of type {hint.__name__}"
    raise ValueError(f"{name} is {value!r}: must be {shown}")
