"""`tapirus extract`: the Beam job on Ray actors."""

from __future__ import annotations

import shlex
import tomllib
from typing import Any

import click

from pipelines.cli.options import NONE, as_click_option, flag_name, is_optional
from pipelines.extract import ExtractSettings, options, run_extract, settings_from_dict
from pipelines.extract.progress import default_progress

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

Words after -- go to Beam, such as -- --runner=FlinkRunner --flink_master=host:8081. Exit code 1
when no clip was extracted, or with --strict when anything failed.
"""


def _run(inputs: tuple[str, ...], output: str, config: str | None, **flags: Any) -> int:
    ctx = click.get_current_context()
    beam = list(ctx.meta.get(_BEAM, ()))
    settings = _settings(config, flags)
    try:
        with default_progress() as progress:
            summary = run_extract(list(inputs), output, settings, beam, progress=progress)
    except KeyboardInterrupt:
        click.echo("what is committed is kept; the same command goes on from there", err=True)
        raise
    click.echo(summary.text())
    if summary.total_failures:
        sql = "SELECT source, stage, message FROM failures"
        count = f"{summary.total_failures} in the dataset"
        click.echo(f'failures  {count}: tapirus query {shlex.quote(output)} "{sql}"')
    return 0 if summary.succeeded(settings.strict) else 1


def _settings(config: str | None, flags: dict[str, Any]) -> ExtractSettings:
    settings = ExtractSettings()
    if config is not None:
        try:
            with open(config, "rb") as file:
                settings = settings_from_dict(_with_none(tomllib.load(file)), settings)
        except ValueError as error:
            raise click.ClickException(f"{config}: {error}") from error
    given: dict[str, Any] = {}
    for option in options():
        value = flags.get(flag_name(option.key)[2:].replace("-", "_"))
        if value is not None:
            part, _, name = option.key.rpartition(".")
            table = given.setdefault(part, {}) if part else given
            table[name] = None if value is NONE else value
    return settings_from_dict(given, settings)


def _with_none(values: dict[str, Any]) -> dict[str, Any]:
    """The word "none" as None where a setting may be that: TOML has no value of its own for it."""
    values = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for option in options():
        part, _, name = option.key.rpartition(".")
        table = values.get(part) if part else values
        if is_optional(option) and isinstance(table, dict) and table.get(name) == "none":
            table[name] = None
    return values


_BEAM = "tapirus.beam"


class _Extract(click.Command):
    """Takes what follows `--` aside for Beam, and parts the settings by what they decide."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
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
        scopes = {flag_name(option.key): option.scope for option in options()}
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(scopes.get(param.opts[0], ""), []).append(record)
        for scope, title in (
            ("", "Options"),
            ("dataset", "Content of the dataset (the same in every run into it)"),
            ("run", "This run"),
        ):
            with formatter.section(title):
                formatter.write_dl(sections[scope])


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
        *(as_click_option(option) for option in options()),
    ],
)
