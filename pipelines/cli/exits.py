"""One place that turns errors into one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence

import click

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CLUSTER = 75  # of sysexits.h: a failure that passes
EXIT_INTERRUPTED = 130


def run_program(name: str, command: click.Command, argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns 0, or a code of those above."""
    for stream in (sys.stdout, sys.stderr):
        # File names may hold what the terminal's encoding does not.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return _run(name, lambda: command.main(argv, prog_name=name, standalone_mode=False))


def _run(name: str, command: Callable[[], object]) -> int:
    # A reader of our output that has gone, as with `| head`, is click's to handle: it exits with 1.
    try:
        result = command()
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort as error:
        # click takes the end of a file for an interrupt: it was meant for prompts.
        if isinstance(error.__cause__, EOFError):
            return _failed(name, error.__cause__)
        return _interrupted(name)
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        print(f"{name}: {error.format_message()}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return _interrupted(name)
    except Exception as error:
        return _failed(name, error)


def _failed(name: str, error: BaseException) -> int:
    from pipelines.extract.errors import ClusterLostError, ExtractError

    # Every other error of this product is one of these two.
    expected = isinstance(error, (ValueError, OSError, MemoryError, ExtractError))
    if os.environ.get("TAPIRUS_TRACEBACK") or not expected:
        raise error
    print(f"{name}: {_one_line(error)}", file=sys.stderr)
    return EXIT_CLUSTER if isinstance(error, ClusterLostError) else EXIT_FAILED


def _interrupted(name: str) -> int:
    print(f"{name}: stopped by Ctrl-C", file=sys.stderr)
    return EXIT_INTERRUPTED


def _one_line(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "out of memory: use fewer frames or points, or a smaller size"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror or error}"
    return " ".join(str(error).split()) or type(error).__name__
