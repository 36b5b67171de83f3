"""Settings of an extraction, typed once: flags, files and the dataset's record come from here."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pipelines.video import ClipSettings

Scope = Literal["dataset", "run"]


class SettingsError(ValueError):
    """A setting is unknown or out of range. `str()` is a single line."""


def _setting(default: Any, scope: Scope, help: str, unit: str = "") -> Any:
    return field(default=default, metadata={"scope": scope, "help": help, "unit": unit})


@dataclass(frozen=True)
class ExtractSettings:
    """What to extract (scope "dataset") and how to run it (scope "run").

    The first kind defines the dataset's content: it is recorded with it, and a later run into the
    same dataset must agree. The second kind may differ from run to run and from machine to machine.

    Raises SettingsError for values out of range.
    """

    tracker: str = _setting("tapir-mini", "dataset", "tracker configuration")
    # The weights' digest is what the dataset records; where the file lies may differ by machine.
    checkpoint: str | None = _setting(None, "run", "weights file in place of the tracker's own")
    dtype: Literal["auto", "float32", "bfloat16"] = _setting(
        "auto", "dataset", "arithmetic of the tracker; auto: bfloat16 where the hardware has it"
    )
    grid: int = _setting(64, "dataset", "query points per side of the clip", "points")
    query_frame: Literal["first", "middle"] = _setting(
        "first", "dataset", "frame of the clip that the query points lie on"
    )
    clip: ClipSettings = field(
        default_factory=ClipSettings,
        metadata={"scope": "dataset", "help": "how videos are cut into clips", "unit": ""},
    )
    # Small shards commit early and lose little when a run is killed; large ones make fewer files.
    shard_clips: int = _setting(16, "dataset", "clips per output file at most", "clips")
    # The unit of distribution and of planning. Long videos want fewer: a bucket is planned whole
    # before its first clip is tracked.
    sources_per_bucket: int = _setting(16, "run", "videos that are planned together", "videos")
    max_attempts: int = _setting(3, "run", "tries before a clip is given up", "tries")
    in_flight: int | None = _setting(
        None, "run", "calls ahead of a tracker; none: 3, more where decoding is slower", "calls"
    )
    batch_clips: int | None = _setting(
        None, "run", "clips per call of a tracker; none: what takes a fifth of a second", "clips"
    )
    num_actors: int | None = _setting(
        None, "run", "trackers; none: what the cluster holds; more than it has GPUs: as they come"
    )
    ray_address: str | None = _setting(
        None, "run", "Ray cluster to join; none: start one on this machine"
    )
    object_store_mb: int = _setting(1024, "run", "object store of a Ray started here", "MB")
    start_timeout: float = _setting(300.0, "run", "wait for the first tracker at most", "seconds")
    # A node that a cloud takes back, and the image it pulls again, take ten minutes and more.
    cluster_timeout: float | None = _setting(
        1800.0,
        "run",
        "wait for a Ray cluster that is gone or has no CPU yet; none: for ever, 0: not at all",
        "seconds",
    )
    # Far beyond what any clip takes: it is there for a decoder or a tracker that hangs.
    clip_timeout: float | None = _setting(
        600.0, "run", "limit for decoding, and for tracking, one clip; none: no limit", "seconds"
    )
    take_over: bool = _setting(
        False, "run", "write although another run does; that run stops before its next commit"
    )
    strict: bool = _setting(False, "run", "any failure makes the command fail")

    def __post_init__(self) -> None:
        least = {
            "grid": 1,
            "shard_clips": 1,
            "sources_per_bucket": 1,
            "max_attempts": 1,
            "in_flight": 1,
            "batch_clips": 1,
            "num_actors": 1,
            "object_store_mb": 80,  # Ray refuses less
        }
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise SettingsError(f"{name} is {value}: must be at least {bound}")
        if not self.start_timeout > 0:
            raise SettingsError(f"start_timeout is {self.start_timeout}: must be positive")
        if self.cluster_timeout is not None and not self.cluster_timeout >= 0:
            raise SettingsError(
                f"cluster_timeout is {self.cluster_timeout}: must be 0 or more, or none for ever"
            )
        if self.clip_timeout is not None and not self.clip_timeout > 0:
            raise SettingsError(
                f"clip_timeout is {self.clip_timeout}: must be positive, or none for no limit"
            )
        if self.query_frame not in ("first", "middle"):
            raise SettingsError(f'query_frame is "{self.query_frame}": choose first or middle')


# ClipSettings documents its fields in its own words; these are the short ones for flags.
CLIP_HELP: Mapping[str, tuple[str, str]] = {
    "num_frames": ("frames per clip", "frames"),
    "fps": ("frame rate of the clips; none: the source's", "1/s"),
    "size": ("side of the square clips", "pixels"),
    "fit": ("crop the centre square, or fit the whole picture between borders", ""),
    "stride": ("frames from one clip's start to the next; none: no overlap", "frames"),
    "max_clips": ("clips per video at most, spread over it; none: all", "clips"),
    "cut_threshold": ("difference that makes a shot cut, 0 to 1; none: ignore shots", ""),
}


@dataclass(frozen=True)
class Option:
    """One setting as a command line or a documentation page needs it."""

    key: str  # "grid" or "clip.size"
    type: Any  # resolved annotation, such as int or float | None
    default: Any
    help: str
    unit: str
    scope: Scope


def options() -> list[Option]:
    """Every setting, those of clips as "clip.<name>", in the order they are declared."""
    found: list[Option] = []
    hints = get_type_hints(ExtractSettings)
    for item in fields(ExtractSettings):
        meta = item.metadata
        if item.name != "clip":
            found.append(
                Option(
                    item.name,
                    hints[item.name],
                    item.default,
                    meta["help"],
                    meta["unit"],
                    meta["scope"],
                )
            )
            continue
        clip_hints = get_type_hints(ClipSettings)
        for part in fields(ClipSettings):
            text, unit = CLIP_HELP.get(part.name, (part.name.replace("_", " "), ""))
            default = None if part.default is MISSING else part.default
            found.append(
                Option(f"clip.{part.name}", clip_hints[part.name], default, text, unit, "dataset")
            )
    return found


def settings_from_dict(
    values: Mapping[str, Any], base: ExtractSettings | None = None
) -> ExtractSettings:
    """Settings from a mapping as TOML gives it, clip settings under "clip"; the rest from `base`.

    Raises SettingsError for an unknown key, a value of the wrong type or out of range.
    """
    base = base or ExtractSettings()
    values = dict(values)
    clip = values.pop("clip", {})
    if not isinstance(clip, Mapping):
        raise SettingsError('"clip" must be a table of clip settings')
    try:
        changed = _checked(clip, get_type_hints(ClipSettings), "clip.")
        return replace(
            base,
            clip=replace(base.clip, **changed),
            **_checked(values, get_type_hints(ExtractSettings), ""),
        )
    except SettingsError:
        raise
    except ValueError as error:  # ClipSettings checks its own ranges
        raise SettingsError(f"clip: {error}") from error


def settings_to_dict(settings: ExtractSettings, scope: Scope | None = None) -> dict[str, Any]:
    """Plain nested values, of one scope or of both; `settings_from_dict` reads them back."""
    out: dict[str, Any] = {}
    for item in fields(settings):
        if scope is not None and item.metadata["scope"] != scope:
            continue
        value = getattr(settings, item.name)
        if isinstance(value, ClipSettings):
            value = {part.name: getattr(value, part.name) for part in fields(value)}
        out[item.name] = value
    return out


def _checked(values: Mapping[str, Any], hints: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    checked = {}
    for key, value in values.items():
        if key not in hints:
            close = difflib.get_close_matches(key, hints, n=1)
            hint = f'; did you mean "{prefix}{close[0]}"?' if close else ""
            raise SettingsError(f'unknown setting "{prefix}{key}"{hint}')
        if not _is_a(value, hints[key]):
            raise SettingsError(f"{prefix}{key} is {value!r}: must be {_spell(hints[key])}")
        checked[key] = value
    return checked


def _is_a(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_is_a(value, part) for part in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if hint is type(None):
        return value is None
    if isinstance(value, bool):  # a bool is an int to Python, but not to the user
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    return isinstance(value, hint)


def _spell(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_spell(part) for part in get_args(hint))
    if origin is Literal:
        return " or ".join(repr(part) for part in get_args(hint))
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(hint, "none" if hint is type(None) else str(hint))
