"""Flags made from typed settings, and options that several commands share."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click

from pipelines.extract import Option

F = TypeVar("F", bound=Callable[..., Any])


def flag_name(key: str) -> str:
    """Setting "clip.num_frames" is given as --num-frames."""
    return "--" + key.rpartition(".")[2].replace("_", "-")


def as_click_option(option: Option) -> click.Option:
    """A flag that is None unless given, so that a file's value or the default stands."""
    text = option.help
    kind, choices = _click_type(option.type)
    if kind is bool:
        return click.Option([flag_name(option.key)], is_flag=True, default=None, help=text)
    shown = "" if option.default is None else f"  [default: {option.default}]"
    return click.Option(
        [flag_name(option.key)],
        type=choices or kind,
        metavar=option.unit.upper() or None,
        default=None,
        help=text + shown,
    )


def _click_type(hint: Any) -> tuple[Any, click.Choice[str] | None]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (only,) = (part for part in get_args(hint) if part is not type(None))
        return _click_type(only)
    if origin is Literal:
        return str, click.Choice([str(value) for value in get_args(hint)])
    return hint, None


def tracker_options(command: F) -> F:
    """--tracker, --checkpoint, --device and --dtype for commands that track in this process."""
    for option in (
        click.option("--dtype", default="auto", show_default=True, help="float32, bfloat16, auto."),
        click.option("--device", help="cpu, cuda, cuda:1 …; by default a GPU if there is one."),
        click.option("--checkpoint", type=click.Path(), help="Weights file (.pt, .npy, …)."),
        click.option(
            "--tracker",
            default="tapir-mini",
            show_default=True,
            help="tapir-mini, tapir, bootstapir, causal-tapir or causal-bootstapir.",
        ),
    ):
        command = option(command)
    return command
