"""What all clips of a dataset have in common, and how two of those differ."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from trajectories.errors import DatasetError
from trajectories.schema import SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """What all clips of a dataset have in common.

    tracker: name of the tracker. weights_digest: digest of its weights. settings: whatever else
    decides the content (clip length, size, query points); JSON values. tapirus_version: the release
    that created the dataset, for information.
    """

    tracker: str
    weights_digest: str
    settings: dict[str, Any] = field(default_factory=dict)
    tapirus_version: str = ""
    schema_version: int = SCHEMA_VERSION


def spec_to_json(spec: DatasetSpec) -> bytes:
    """The content of `dataset.json`."""
    text = json.dumps(asdict(spec), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return text.encode()


def spec_from_json(content: bytes, name: str) -> DatasetSpec:
    """Inverse of `spec_to_json`; `name` is for the error message. Raises DatasetError."""
    try:
        values = json.loads(content)
        version = values["schema_version"]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            # A newer description may have fields that this release does not know.
            raise DatasetError(
                f"{name} has schema version {version}, this tapirus reads up to {SCHEMA_VERSION}: "
                "upgrade tapirus"
            )
        return DatasetSpec(**values)
    except DatasetError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{name} does not describe a dataset ({type(error).__name__}): restore it, or extract "
            "into a new folder"
        ) from error


def normalised(spec: DatasetSpec) -> DatasetSpec:
    """As it will be read back, so that a tuple equals the list it is stored as.

    Raises DatasetError for what JSON cannot hold.
    """
    try:
        return DatasetSpec(**json.loads(json.dumps(asdict(spec))))
    except (TypeError, ValueError) as error:
        raise DatasetError(f"the settings of a dataset must be JSON values: {error}") from error


def differences(there: DatasetSpec, wanted: DatasetSpec) -> list[str]:
    """What is not the same, with both values, each in a few words."""

    def flat(spec: DatasetSpec) -> dict[str, Any]:
        head = {
            "schema_version": spec.schema_version,
            "tracker": spec.tracker,
            "weights_digest": spec.weights_digest,
        }
        return head | _flat("settings", spec.settings)

    old, new = flat(there), flat(wanted)
    missing = "not set"
    return [
        f"{key}: there {_shown(old.get(key, missing))}, now {_shown(new.get(key, missing))}"
        for key in sorted(old | new)
        if key not in old or key not in new or old[key] != new[key]
    ]


def _flat(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """Nested tables as one, with names such as settings.clip.size."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}.{name}"
        found |= _flat(key, value) if isinstance(value, dict) and value else {key: value}
    return found


def _shown(value: Any) -> str:
    return value if value == "not set" else json.dumps(value, ensure_ascii=False)
