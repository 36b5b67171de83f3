"""Published checkpoints by configuration name, and the name that a file name tells.

The publisher states no digests, so none is built in here: the digest of a file is computed
when it first arrives, shown, recorded beside it and verified from then on. That protects
against later damage, not against a first download that was already another file; the shapes
of all tensors are checked in either case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

DEFAULT_NAME = "tapir-mini"
"""The configuration whose weights come with the package."""

_BUCKET = "https://storage.googleapis.com/dm-tapnet/"
_TAPIR_PARAMETERS = 31_072_327
_BOOTSTAPIR_PARAMETERS = 54_699_335


@dataclass(frozen=True)
class PublishedCheckpoint:
    """Where the weights of one configuration were published."""

    name: str
    urls: tuple[str, ...]
    """The same weights in several formats; the first is the one to download."""
    num_parameters: int
    """The least number of float32 parameters in the file."""

    @property
    def url(self) -> str:
        return self.urls[0]

    @property
    def file_names(self) -> tuple[str, ...]:
        return tuple(PurePath(url).name for url in self.urls)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the parameters alone: a smaller file cannot be complete."""
        return 4 * self.num_parameters


def _published(name: str, stem: str, suffixes: str, num_parameters: int) -> PublishedCheckpoint:
    urls = tuple(f"{_BUCKET}{stem}{suffix}" for suffix in suffixes.split())
    return PublishedCheckpoint(name, urls, num_parameters)


PUBLISHED: dict[str, PublishedCheckpoint] = {
    entry.name: entry
    for entry in (
        _published("tapir", "tapir_checkpoint_panning", ".pt .npy", _TAPIR_PARAMETERS),
        _published(
            "bootstapir", "bootstap/bootstapir_checkpoint_v2", ".pt .npy", _BOOTSTAPIR_PARAMETERS
        ),
        # JAX only; with or without a pooled pyramid level, which its shapes tell.
        _published("causal-tapir", "causal_tapir_checkpoint", ".npy", _TAPIR_PARAMETERS),
        _published(
            "causal-bootstapir",
            "bootstap/causal_bootstapir_checkpoint",
            ".pt .npy",
            _BOOTSTAPIR_PARAMETERS,
        ),
    )
}

_FILE_NAME = re.compile(r"(causal[-_ ])?((?:boots)?tapir)(?![a-z])", re.IGNORECASE)


def name_from_file(path: str | PurePath) -> str | None:
    """The configuration that a published file name stands for, or None.

    >>> name_from_file("bootstapir_checkpoint_v2.pt")
    'bootstapir'
    >>> name_from_file("causal_tapir_checkpoint_panning.npy")
    'causal-tapir'
    """
    match = _FILE_NAME.match(PurePath(path).name)
    if match is None:
        return None
    return ("causal-" if match[1] else "") + match[2].lower()
