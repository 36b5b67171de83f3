"""`tapirus extract`: the Beam job on Ray actors."""

from __future__ import annotations

import shlex
import socket
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import click

from pipelines.cli.exits import EXIT_CLUSTER
from pipelines.cli.extract_cluster import run_supervised, wants_supervision
from pipelines.cli.extract_settings import settings_of
from pipelines.cli.options import as_click_option, flag_name
from pipelines.extract import (
    ExtractError,
    ExtractSettings,
    options,
    run_extract,
)
from pipelines.extract.errors import ClusterLostError
from pipelines.extract.history import History
from pipelines.extract.logs import JsonLog, log_stream
from pipelines.extract.metrics import MetricsServer
from pipelines.extract.observe import Observer
from pipelines.extract.progress import default_progress
from pipelines.extract.supervised import TellCommits, adopt, telling

_HELP = """Track every clip of many videos and write the tracks to a dataset.

INPUTS are videos, globs, folders, manifests (.txt, .csv, .parquet), local or any fsspec URL such
as gs://bucket/videos/*.mp4. A run that was stopped goes on where it was when it is started again;
new inputs extend the dataset, and without inputs what is there is completed.

\b
tapirus extract videos/ -o tracks
tapirus extract 'gs://in/*.mp4' -o gs://out/tracks --ray-address ray://head:10001
tapirus extract list.csv -o tracks --config extract.toml --max-clips 4

Settings come from the flags, else from the file, else from the defaults. In the file they are
written with underscores, those about clips under [clip]:

\b
grid = 32
strict = true
[clip]
num_frames = 48
fps = 12

Try it first: --dry-run checks inputs, storage, rights and cluster, searches a few of the videos and
tracks a few of their clips, and says what all of it will take, with its spread. Prices stand in the
file, too, and the run compares itself with the estimate, which is kept beside the dataset:

\b
tapirus extract videos/ -o tracks --config extract.toml --dry-run --sample 50
[prices]
currency = "USD"
gpu_hour = 0.35
cpu_hour = 0.02
gb_month = 0.02

While it runs, `tapirus status DATASET` tells from any terminal how far it is; --metrics-port serves
its figures to Prometheus, --log-json writes what happens, and when it is over DATASET/reports has a
page on it.

\b
tapirus extract videos/ -o tracks --metrics-port 9400 --log-json run.jsonl

A Ray cluster of --ray-address that goes away is awaited for --cluster-timeout, and the run goes on
when it is back.

Words after -- go to Beam, such as -- --runner=FlinkRunner --flink_master=host:8081. Exit code 1
when no clip was extracted, or with --strict when anything failed; 75 when the cluster stayed away.
"""


def _run(
    inputs: tuple[str, ...],
    output: str,
    config: str | None,
    dry_run: bool,
    sample: int,
    estimate: str | None,
    metrics_port: int | None,
    log_json: str | None,
    report: bool,
    **flags: Any,
) -> int:
    ctx = click.get_current_context()
    beam = list(ctx.meta.get(_BEAM, ()))
    settings, prices = settings_of(config, flags)
    if dry_run:
        from pipelines.cli.extract_dry import try_out

        return try_out(inputs, output, settings, prices, sample, estimate)
    supervision = adopt()
    if supervision is None:
        if wants_supervision(settings):
            return run_supervised(["extract", *ctx.obj], output, settings)
    elif supervision.again:
        # Whoever has the dataset by now may keep it.
        settings = replace(settings, take_over=False)
    try:
        with telling():
            return _extract(
                inputs, output, settings, beam, estimate, metrics_port, log_json, report
            )
    except ClusterLostError:
        if supervision is None:
            raise
        return EXIT_CLUSTER  # told by the supervisor


def _extract(
    inputs: tuple[str, ...],
    output: str,
    settings: ExtractSettings,
    beam: list[str],
    estimate: str | None,
    metrics_port: int | None,
    log_json: str | None,
    report: bool,
) -> int:
    from pipelines.extract.kept import estimate_file, kept_estimate

    where = estimate or estimate_file(output)
    expected = kept_estimate(where) if where is not None else None
    if estimate is not None and expected is None:
        raise click.ClickException(f"{estimate}: no such estimate; make it with --dry-run")
    # Whoever reads the log from standard output wants nothing else there.
    aside = log_json == "-"
    history = History()
    with ExitStack() as stack:
        observers: list[Observer] = [TellCommits(), *([history] if report else [])]
        if metrics_port is not None:
            server = stack.enter_context(MetricsServer(metrics_port))
            click.echo(f"metrics at http://{socket.gethostname()}:{server.port}/metrics", err=True)
            observers.append(server)
        if log_json is not None:
            observers.append(JsonLog(stack.enter_context(log_stream(log_json))))
        try:
            with default_progress() as progress:
                summary = run_extract(
                    list(inputs),
                    output,
                    settings,
                    beam,
                    progress=progress,
                    observers=observers,
                    estimate=expected,
                )
        except KeyboardInterrupt:
            click.echo("what is committed is kept; the same command goes on from there", err=True)
            _write_report(history, aside=True)
            raise
        except ExtractError:
            _write_report(history, aside=True)
            raise
    click.echo(summary.text(), err=aside)
    _write_report(history, aside)
    if summary.total_failures:
        sql = "SELECT source, stage, message FROM failures"
        count = f"{summary.total_failures} in the dataset"
        line = f'failures  {count}: tapirus query {shlex.quote(output)} "{sql}"'
        click.echo(line, err=aside)
    return 0 if summary.succeeded(settings.strict) else 1


def _write_report(history: History, aside: bool) -> None:
    """Says where the page on the run is. It is worth no error: the dataset does not need it."""
    from pipelines.extract.run_report import write_report

    try:
        url = write_report(history)
    except ValueError as error:  # StorageError, DatasetError
        click.echo(f"the report of this run cannot be written: {error}", err=True)
        return
    if url is not None:
        click.echo(f"report    {url}", err=aside)


_BEAM = "tapirus.beam"


class _Extract(click.Command):
    """Takes what follows `--` aside for Beam, and parts the settings by what they decide.

    The words of the command line are kept as `ctx.obj`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = list(args)
        if "--" in args:
            cut = args.index("--")
            args, beam = args[:cut], args[cut + 1 :]
            if beam and not beam[0].startswith("-"):
                # Elsewhere -- only ends the options, and Beam would ignore the word.
                raise click.UsageError(
                    f"words after -- go to Beam, and {beam[0]} is none of its options; inputs "
                    "stand before it (write ./-x for a name that starts with a dash)",
                    ctx,
                )
            ctx.meta[_BEAM] = beam
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- BEAM OPTIONS]"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        scopes: dict[str, str] = {flag_name(option.key): option.scope for option in options()}
        scopes |= dict.fromkeys(_ASIDE, "aside")
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(scopes.get(param.opts[0], ""), []).append(record)
        for scope, title in (
            ("", "Options"),
            ("aside", "Before, beside and after the run"),
            ("dataset", "Content of the dataset (the same in every run into it)"),
            ("run", "This run"),
        ):
            with formatter.section(title):
                formatter.write_dl(sections[scope])


_ASIDE = ("--dry-run", "--sample", "--estimate", "--metrics-port", "--log-json", "--report")

command = _Extract(
    "extract",
    callback=_run,
    help=_HELP,
    params=[
        click.Argument(["inputs"], nargs=-1),
        click.Option(["-o", "--output"], required=True, help="The dataset: a folder or URL."),
        click.Option(
            ["--config"],
            type=click.Path(exists=True, dir_okay=False),
            help="TOML file of settings.",
        ),
        click.Option(
            ["--dry-run"], is_flag=True, help="Check everything and estimate; start nothing."
        ),
        click.Option(
            ["--sample"],
            type=click.IntRange(min=1),
            default=16,
            show_default=True,
            metavar="VIDEOS",
            help="Videos that a dry run searches.",
        ),
        click.Option(
            ["--estimate"],
            metavar="FILE",
            help="Where the estimate is kept, a path or URL.  [default: OUTPUT.estimate.json]",
        ),
        click.Option(
            ["--metrics-port"],
            type=click.IntRange(0, 65535),
            help="Serve /metrics for Prometheus on this port; 0: a free one.",
        ),
        click.Option(
            ["--log-json"],
            metavar="FILE|-",
            help="Append a JSON line for each event to a file; -: standard output.",
        ),
        click.Option(
            ["--report/--no-report"],
            default=True,
            show_default=True,
            help="Write a page on the run to OUTPUT/reports when it is over.",
        ),
        *(as_click_option(option) for option in options()),
    ],
)
