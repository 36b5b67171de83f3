"""`tapirus`: commands, and one place that turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence

import click

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# Each command is `command` in the module of its name, imported when it is called: torch, Ray and
# Beam take seconds, and `tapirus --help` needs none of them.
_COMMANDS = {
    "track": "Draw tracks over one video, to look at it.",
    "extract": "Track many videos and write a dataset.",
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
    130 stopped by Ctrl-C. With TAPIRUS_TRACEBACK=1 in the environment errors show where they arose.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (failed), 2 (wrong usage) or 130 (Ctrl-C)."""
    for stream in (sys.stdout, sys.stderr):
        # File names may hold what the terminal's encoding does not.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_run(lambda: cli.main(argv, prog_name="tapirus", standalone_mode=False)))


def _run(command: Callable[[], object]) -> int:
    # A reader of our output that has gone, as with `| head`, is click's to handle: it exits with 1.
    try:
        result = command()
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort as error:
        # click takes the end of a file for an interrupt: it was meant for prompts.
        if isinstance(error.__cause__, EOFError):
            return _failed(error.__cause__)
        return _interrupted()
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        print(f"tapirus: {error.format_message()}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        return _failed(error)


def _failed(error: BaseException) -> int:
    from pipelines.extract.errors import ExtractError

    # Every other error of this product is one of these two.
    expected = isinstance(error, (ValueError, OSError, MemoryError, ExtractError))
    if os.environ.get("TAPIRUS_TRACEBACK") or not expected:
        raise error
    print(f"tapirus: {_one_line(error)}", file=sys.stderr)
    return EXIT_FAILED


def _interrupted() -> int:
    print("tapirus: stopped by Ctrl-C", file=sys.stderr)
    return EXIT_INTERRUPTED


def _one_line(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "out of memory: use fewer frames or points, or a smaller size"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror or error}"
    return " ".join(str(error).split()) or type(error).__name__
