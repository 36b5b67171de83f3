"""`tapirus extract --dry-run`: checks one by one, then the estimate."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pipelines.extract import ExtractSettings
from pipelines.extract.estimate import Prices, estimate_rows


def try_out(
    inputs: Sequence[str],
    output: str,
    settings: ExtractSettings,
    prices: Prices,
    sample: int,
    estimate: str | None,
) -> int:
    """Prints as it goes; keeps the estimate beside the dataset or where `estimate` says."""
    from pipelines.extract.dry_run import Check, dry_run
    from pipelines.extract.kept import estimate_file, keep_estimate

    def say(check: Check) -> None:
        mark = "ok" if check.ok else "FAILED"
        click.echo(f"{mark:<7} {check.name:<9} {check.text}")

    made = dry_run(inputs, output, settings, prices, sample, say=say)
    if made.estimate is not None:
        click.echo("\nestimate, from the sample; in brackets two standard deviations either way")
        for name, text in estimate_rows(made.estimate):
            click.echo(f"{name:<11} {text}")
        if not any((prices.gpu_hour, prices.cpu_hour, prices.gb_month)):
            click.echo("money       no prices given: see [prices] in tapirus extract --help")
        where = estimate or estimate_file(output)
        if where is not None and made.ok:
            keep_estimate(made.estimate, where)
            click.echo(f"kept        {where}")
        elif made.ok:
            click.echo("kept        nowhere: name a place with --estimate")
    click.echo("a run would start" if made.ok else "a run would fail", err=not made.ok)
    return 0 if made.ok else 1
