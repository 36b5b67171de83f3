"""Running the Beam pipeline of an extraction, on whatever runner Beam is told."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pipelines.extract.beam_workers import WorkerDiedError, are_apart, watched
from pipelines.extract.errors import ExtractError
from pipelines.extract.inputs import Bucket
from pipelines.extract.spec import RunSpec
from pipelines.extract.watch import why_stopped

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_JOB_SERVERS = ("PortableRunner", "FlinkRunner", "SparkRunner", "PrismRunner")


def run_beam(
    run: RunSpec,
    todo: dict[Bucket, int],
    beam_options: Sequence[str] | PipelineOptions | None,
    monitor: Any,
    interrupted: threading.Event,
) -> None:
    with _quiet_beam():
        import apache_beam as beam

        from pipelines.extract.bridge import TrackVideos, bucket_element

    elements = [bucket_element(bucket, count) for bucket, count in todo.items()]
    try:
        with _quiet_beam():
            options, runner = _beam_options(beam_options)
            pipeline = beam.Pipeline(runner=runner, options=options)
            _ = pipeline | "Buckets" >> beam.Create(elements) | TrackVideos(run)

            def work() -> str | None:
                state: str | None = pipeline.run().wait_until_finish()
                return state

            # Elsewhere in the main thread: it is the one that Ctrl-C interrupts.
            state = watched(work) if are_apart(options) else work()
    except WorkerDiedError:
        raise
    except Exception as error:
        if interrupted.is_set():
            return
        # Beam wraps what a worker raised into pages of text; the worker left its reason here.
        reason = why_stopped(monitor)
        if reason is not None:
            raise ExtractError(reason) from error
        if type(error).__module__.startswith("grpc"):
            name = type(error).__name__
            raise ExtractError(f"Beam's job server does not answer ({name})") from error
        raise
    if interrupted.is_set():
        return
    if state is not None and state != "DONE":
        reason = why_stopped(monitor)
        raise ExtractError(reason or f"the Beam job ended as {state}: see its runner's log")


def check_beam_options(given: Sequence[str] | PipelineOptions | None) -> None:
    """Raises ExtractError for words that Beam would drop without a sound.

    What goes to a job server (Flink's, Spark's) may be an option of that server's own, so there
    only near misses of Beam's options are refused. Costs nothing where none are given.
    """
    if not given:
        return
    with _quiet_beam():
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

        if isinstance(given, PipelineOptions):
            return  # made by a program; unknown names were its author's to see
        unknown, known = _unknown_options(given)
        runner = str(PipelineOptions(list(given)).view_as(StandardOptions).runner or "")
    for word in unknown:
        close = difflib.get_close_matches(word.partition("=")[0], known, n=1, cutoff=0.75)
        if not close and runner.rpartition(".")[2] in _JOB_SERVERS:
            continue
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ExtractError(f"{word} is no option of Beam{hint}")


class _Parser(argparse.ArgumentParser):
    """Of Beam's options: a value that does not fit is one line, not pages of usage."""

    def add_value_provider_argument(self, *names: Any, **values: Any) -> None:
        """What Beam's own parser has for options of templates."""
        self.add_argument(*names, **values)

    def error(self, message: str) -> NoReturn:
        raise ExtractError(f"Beam's options: {message}")


def _unknown_options(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that no class of Beam's options takes, and the names of all options."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser: Any = _Parser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    queue, seen = list(PipelineOptions.__subclasses__()), set()
    for kind in queue:
        if kind not in seen:
            seen.add(kind)
            kind._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(given))
    return unknown, [name for action in parser._actions for name in action.option_strings]


def _beam_options(given: Sequence[str] | PipelineOptions | None) -> tuple[PipelineOptions, Any]:
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    options = given if isinstance(given, PipelineOptions) else PipelineOptions(list(given or []))
    name = options.view_as(StandardOptions).runner
    # DirectRunner would try to download another runner's binary first; this is the one it means.
    if name in (None, "DirectRunner", "FnApiRunner"):
        return options, FnApiRunner()
    return options, name


@contextlib.contextmanager
def _quiet_beam() -> Iterator[None]:
    """Keeps Beam from logging the traceback of an error that is raised anyway.

    Also from warning, through the root logger, that its Google parts are not installed: that would
    set up logging for the whole process besides.
    """
    root, logger, level = logging.getLogger(), logging.getLogger("apache_beam"), None
    keep, nothing = _NotAboutApitools(), logging.NullHandler()
    root.addFilter(keep)
    root.addHandler(nothing)
    if logger.level == logging.NOTSET:
        level = logger.level
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.removeFilter(keep)
        root.removeHandler(nothing)
        if level is not None:
            logger.setLevel(level)


class _NotAboutApitools(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("apitools not found")
