"""What keeps a launch from starting or going on. Each `str()` is a single line."""

from __future__ import annotations

from pipelines.extract import ExtractError


class LaunchError(ExtractError):
    """A tool is missing, a cluster refuses, or a run that is there already would be hurt."""
