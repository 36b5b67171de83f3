"""`tapirus launch`: from one settings file to a running job."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.launch import (
    TARGETS,
    LaunchPlan,
    LaunchSettings,
    launch_local,
    launch_on_kubernetes,
    load_launch,
    make_plan,
    watching,
    write_plan,
)
from pipelines.launch.commands import Command


@click.command("launch")
@click.argument("settings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--target", type=click.Choice(TARGETS), help="Where to run; else the file says it.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, start nothing.")
@click.option(
    "--render",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the manifests and commands into this folder, and start nothing.",
)
def command(settings: Path, target: str | None, dry_run: bool, render: Path | None) -> int:
    """Run an extraction on a cluster, from one settings file.

    SETTINGS is a TOML file that says what to extract, where, and what things cost;
    infra/settings.example.toml is a commented one. It is checked before anything starts. A run that
    was stopped goes on where it was when it is launched again.

    \b
    local-cluster   several Ray nodes on this machine
    kuberay         a Ray cluster on Kubernetes, scaled from nothing, GPUs included
    dataflow        the same, with Beam's workers on Dataflow
    flink           the same, with Beam's workers beside Flink

    \b
    tapirus launch run.toml --target local-cluster
    tapirus launch run.toml --target kuberay --dry-run
    tapirus launch run.toml --target kuberay --render manifests/
    tapirus launch run.toml --target dataflow

    docs/launch tells the way from an empty project to the first dataset, with what it costs.
    """
    loaded = load_launch(settings, target)
    plan = make_plan(loaded)
    if dry_run or render is not None:
        click.echo(plan.text())
        if loaded.target.name == "dataflow" and dry_run:
            _build_dataflow(loaded)
        if render is not None:
            _render(loaded, plan, render, settings)
        return 0
    if loaded.target.name == "local-cluster":
        return launch_local(loaded)
    click.echo(plan.text(), err=True)
    launch_on_kubernetes(loaded, plan, click.echo)
    _tell(watching(loaded))
    return 0


def _build_dataflow(settings: LaunchSettings) -> None:
    from pipelines.launch.dataflow import build_job

    job = build_job(settings)
    steps, size = len(job.proto.components.transforms), job.proto.ByteSize()
    how = "" if job.by_dataflow else " (by Beam alone; pip install 'tapirus[gcp]' for the rest)"
    click.echo(f"job       builds: {steps} transforms, {size:,} bytes; not submitted{how}")


def _render(settings: LaunchSettings, plan: LaunchPlan, folder: Path, source: Path) -> None:
    if not plan.files:
        click.echo("local-cluster needs no files: the command above is all there is")
        return
    for path in write_plan(plan, folder):
        click.echo(f"wrote     {path}")
    name = settings.target.name
    click.echo(f"apply     tapirus launch {source} --target {name}, or kubectl apply -k {folder}")
    _tell(watching(settings))


def _tell(commands: list[Command]) -> None:
    for item in commands:
        click.echo(f"{item.says:<9} {item.line()}")
