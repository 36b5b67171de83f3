"""Files that commands write: refused before the work rather than after it."""

from __future__ import annotations

import os
from pathlib import Path

import click


class OutputFile(click.ParamType):
    """A local file to write, of one of these suffixes, in a folder that can be written."""

    name = "file"

    def __init__(self, *suffixes: str) -> None:
        self.suffixes = suffixes

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        path = Path(value)
        if path.suffix.lower() not in self.suffixes:
            self.fail(f"{value}: give a name that ends in {_or(self.suffixes)}", param, ctx)
        if not path.parent.is_dir():
            raise click.ClickException(f"{value}: there is no folder {path.parent} to write to")
        if path.is_dir():
            raise click.ClickException(f"{value}: is a folder; give the name of a file")
        if not os.access(path.parent, os.W_OK):
            raise click.ClickException(
                f"{value}: the folder {path.parent} cannot be written; check its permissions"
            )
        return value


def keep_source(source: str, output: str) -> None:
    """Raises UsageError where ``output`` would replace the video that is read."""
    if os.path.exists(source) and os.path.exists(output) and os.path.samefile(source, output):
        raise click.UsageError(f"{output} is what is read: give -o another name")


def _or(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
