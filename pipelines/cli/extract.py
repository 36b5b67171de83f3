"""`tapirus extract`: the Beam job on Ray actors."""

from __future__ import annotations

import tomllib
from typing import Any

import click

from pipelines.cli.options import as_click_option, flag_name
from pipelines.extract import ExtractSettings, options, run_extract, settings_from_dict
from pipelines.extract.progress import default_progress

_HELP = """Track every clip of many videos and write the tracks to a dataset.

INPUTS are videos, globs, folders, manifests (.txt, .csv, .parquet), local or any fsspec URL such
as gs://bucket/videos/*.mp4. A run that was stopped goes on where it was when it is started again;
new inputs extend the dataset.

\b
tapirus extract videos/ -o tracks
tapirus extract 'gs://in/*.mp4' -o gs://out/tracks --ray-address ray://head:10001
tapirus extract list.csv -o tracks --config extract.toml

Words after -- go to Beam, such as -- --runner=FlinkRunner --flink_master=host:8081.
Exit code 1 when no clip was extracted, or with --strict when anything failed.
"""


def _run(inputs: tuple[str, ...], output: str, config: str | None, **flags: Any) -> int:
    ctx = click.get_current_context()
    beam = list(ctx.meta.get("tapirus.beam", ()))
    settings = _settings(config, flags)
    with default_progress() as progress:
        summary = run_extract(list(inputs), output, settings, beam, progress=progress)
    click.echo(summary.text())
    if summary.total_failures:
        click.echo(
            f'failures: tapirus query {output} "SELECT source, stage, message FROM failures"'
        )
    return 0 if summary.succeeded(settings.strict) else 1


def _settings(config: str | None, flags: dict[str, Any]) -> ExtractSettings:
    settings = ExtractSettings()
    if config is not None:
        try:
            with open(config, "rb") as file:
                settings = settings_from_dict(tomllib.load(file), settings)
        except ValueError as error:
            raise click.ClickException(f"{config}: {error}") from error
    given: dict[str, Any] = {}
    for option in options():
        value = flags.get(flag_name(option.key)[2:].replace("-", "_"))
        if value is not None:
            part, _, name = option.key.rpartition(".")
            (given.setdefault(part, {}) if part else given)[name] = value
    return settings_from_dict(given, settings)


class _WithBeam(click.Command):
    """Takes what follows `--` aside for Beam before click sees it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            cut = args.index("--")
            args, ctx.meta["tapirus.beam"] = args[:cut], args[cut + 1 :]
        return super().parse_args(ctx, args)


command = _WithBeam(
    "extract",
    callback=_run,
    help=_HELP,
    params=[
        click.Argument(["inputs"], nargs=-1, required=True),
        click.Option(["-o", "--output"], required=True, help="the dataset: a folder or URL"),
        click.Option(["--config"], type=click.Path(exists=True), help="TOML file of settings"),
        *(as_click_option(option) for option in options()),
    ],
)
