"""The command line. The libraries never import it."""

from pipelines.cli.main import main

__all__ = ["main"]
