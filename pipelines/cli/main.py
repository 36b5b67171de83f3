"""`tapirus`: its commands."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from pipelines.cli.exits import run_program

# Each command is `command` in the module of its name, imported when it is called: torch, Ray and
# Beam take seconds, and `tapirus --help` needs none of them.
_COMMANDS = {
    "track": "Draw tracks over one video, to look at it.",
    "extract": "Track many videos and write a dataset.",
    "status": "How a run goes or ended, from any terminal.",
    "launch": "Run an extraction on a cluster, from one settings file.",
    "replay": "Run one clip of a dataset again, to see why it failed.",
    "query": "Ask a dataset a question in SQL.",
    "stats": "Counts and histograms of a dataset.",
    "show": "Draw the tracks of one clip of a dataset.",
    "schema": "Tables, columns and units of a dataset.",
    "synthetic": "Look at synthetic clips and their exact tracks.",
    "train": "Train a model.",
    "eval": "Measure how well a model does.",
    "demo": "All of it on a few videos, or on a rendered one.",
}
_MODULES = {"eval": "evaluate"}  # a module called eval would hide Python's own


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = importlib.import_module(f"pipelines.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tapirus")
def cli() -> None:
    """Dense point trajectories from videos.

    \b
    tapirus track clip.mp4 -o overlay.mp4          look at one video
    tapirus extract videos/ -o tracks              many videos to a dataset
    tapirus query tracks "SELECT count(*) FROM tracks WHERE displacement > 20"

    `tapirus COMMAND --help` explains a command. Exit codes: 0 done, 1 failed, 2 wrong usage,
    75 the Ray cluster is gone, 130 stopped by Ctrl-C. With TAPIRUS_TRACEBACK=1 in the environment
    errors show where they arose.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exits with the codes that `cli` names."""
    sys.exit(run_program("tapirus", cli, argv))
