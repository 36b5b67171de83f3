"""`tapirus`: commands, and one place that turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import click

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class _Commands(click.Group):
    """Commands whose modules are imported when they are called: `--help` answers at once."""

    _MODULES = {  # noqa: RUF012 - click's own attribute style
        "track": "track",
        "extract": "extract",
        "query": "query",
        "stats": "stats",
        "show": "show",
        "schema": "schema",
        "train": "train",
        "demo": "demo",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        import importlib

        module = self._MODULES.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(f"pipelines.cli.{module}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tapirus")
def cli() -> None:
    """Dense point trajectories from videos.

    \b
    tapirus track clip.mp4 -o overlay.mp4          look at one video
    tapirus extract videos/ -o tracks              many videos to a dataset
    tapirus query tracks "SELECT count(*) FROM tracks WHERE displacement > 20"
    """


def _known_errors() -> tuple[type[BaseException], ...]:
    from models import CheckpointError
    from pipelines.extract.errors import ClusterError, ExtractError, PoolError
    from pipelines.video.errors import SourceError, VideoError
    from trajectories import DatasetError

    return (
        CheckpointError,
        ClusterError,
        DatasetError,
        ExtractError,
        PoolError,
        SourceError,
        VideoError,
        ValueError,
        OSError,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (failed), 2 (wrong usage) or 130 (Ctrl-C)."""
    sys.exit(_run(lambda: cli.main(argv, prog_name="tapirus", standalone_mode=False)))


def _run(command: Callable[[], object]) -> int:
    try:
        result = command()
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        return _interrupted()
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE if isinstance(error, click.UsageError) else EXIT_FAILED
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # The reader of our output has gone, as with `| head`; nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:
        if os.environ.get("TAPIRUS_TRACEBACK") or not isinstance(error, _known_errors()):
            raise
        print(f"tapirus: {_one_line(error)}", file=sys.stderr)
        return EXIT_FAILED


def _interrupted() -> int:
    print("tapirus: stopped by Ctrl-C", file=sys.stderr)
    return EXIT_INTERRUPTED


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}"
    return " ".join(str(error).split()) or type(error).__name__
