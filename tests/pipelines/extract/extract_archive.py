"""What several tests compare with: videos, and the bytes of an undisturbed extraction of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.extract import ExtractSettings


@dataclass(frozen=True)
class Archive:
    """Videos that several tests extract, and the dataset that an undisturbed run makes of them."""

    folder: Path
    settings: ExtractSettings
    clips: int
    shards: int
    digests: Mapping[str, str]


def digests(root: Path) -> Mapping[str, str]:
    """Every file of a dataset's content and the digest of its bytes."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "status.json"  # tells of the run, with its times
    }
