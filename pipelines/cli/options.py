"""Flags made from typed settings, and options that several commands share."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

import click

from pipelines.extract import Option

if TYPE_CHECKING:
    from models import Tracker

F = TypeVar("F", bound=Callable[..., Any])

NONE = object()
"""What a flag gives for the word "none": None itself stands for a flag that was not given."""


class OrNone(click.ParamType):
    """A type, or the word "none"."""

    def __init__(self, inner: click.ParamType) -> None:
        self.inner = inner
        self.name = inner.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return NONE if value == "none" else self.inner.convert(value, param, ctx)


def flag_name(key: str) -> str:
    """Setting "clip.num_frames" is given as --num-frames."""
    return "--" + key.rpartition(".")[2].replace("_", "-")


def as_click_option(option: Option) -> click.Option:
    """A flag that is None unless given, so that a file's value or the default stands."""
    text = option.help[:1].upper() + option.help[1:] + "."
    kind, optional = _click_type(option.type)
    if kind is click.BOOL:
        flag = flag_name(option.key)
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=None, help=text)
    shown = "" if option.default is None else f"  [default: {option.default}]"
    return click.Option(
        [flag_name(option.key)],
        type=OrNone(kind) if optional else kind,
        metavar=option.unit.upper() if option.unit.isalpha() else None,
        default=None,
        help=text + shown,
    )


def is_optional(option: Option) -> bool:
    """Whether a setting may be none."""
    return _click_type(option.type)[1]


def _click_type(hint: Any) -> tuple[click.ParamType, bool]:
    """The type of a flag, and whether it may be none as well."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (only,) = (part for part in get_args(hint) if part is not type(None))
        return _click_type(only)[0], True
    if origin is Literal:
        return click.Choice([str(value) for value in get_args(hint)]), False
    return click.types.convert_type(hint), False


def tracker_options(command: F) -> F:
    """--tracker, --checkpoint, --device and --dtype, as `load_tracker` below takes them."""
    for option in (
        click.option(
            "--dtype",
            type=click.Choice(["auto", "float32", "bfloat16"]),
            default="auto",
            show_default=True,
            help="Arithmetic; auto is bfloat16 where the hardware has it.",
        ),
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


def load_tracker(
    tracker: str, checkpoint: str | None, device: str | None, dtype: str = "auto"
) -> Tracker:
    """The tracker that the flags of `tracker_options` ask for."""
    import models

    check_device(device)
    return models.load_tracker(tracker, checkpoint, device, dtype)


def check_device(device: str | None) -> None:
    """Raises ClickException where torch has no such device: torch itself says it in pages."""
    if device is None:
        return
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise click.ClickException(f"--device {device} cannot be used here: {reason}") from error
