"""`tapirus extract` on a Ray cluster: a process that works, and this one that looks after it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

import click

from pipelines.extract import ExtractSettings
from pipelines.extract.errors import ClusterLostError
from pipelines.extract.status import tell_instead
from pipelines.extract.supervise import Ended, Stop, Supervisor
from pipelines.extract.supervised import ChildProcess, passing_on, same_command
from trajectories import DatasetError
from trajectories.storage import connect

_SHOW_CURSOR = "\x1b[?25h"  # a bar that was killed had hidden it


def wants_supervision(settings: ExtractSettings) -> bool:
    """Whether there is a cluster to wait for: one started here ends with the run."""
    return settings.ray_address is not None and settings.cluster_timeout != 0


def run_supervised(words: Sequence[str], output: str, settings: ExtractSettings) -> int:
    """Runs the command line again in a child, as often as its cluster goes away; its exit code.

    words: the command line behind the program's name.
    """
    stop = Stop()
    last: ChildProcess | None = None

    def start(before: Ended | None) -> ChildProcess:
        nonlocal last
        last = ChildProcess(same_command(words), before)
        return last

    def show(state: str, reason: str = "") -> None:
        # For `tapirus status` alone: not worth an error.
        with contextlib.suppress(DatasetError, OSError):
            if last is not None:
                tell_instead(connect(output), last.pid, state, reason)

    assert settings.ray_address is not None
    supervisor = Supervisor(
        settings.ray_address,
        settings.cluster_timeout,
        start,
        say=_say,
        stop=stop,
        look_on=lambda: show("waiting"),
    )
    with passing_on(stop):
        try:
            return supervisor.run()
        except ClusterLostError as error:
            show("failed", str(error))
            raise
        except KeyboardInterrupt:
            show("stopped", "stopped by Ctrl-C")
            click.echo("what is committed is kept; the same command goes on from there", err=True)
            raise


def _say(line: str) -> None:
    if sys.stderr.isatty():
        line = f"{_SHOW_CURSOR}{line}"
    click.echo(line, err=True)
