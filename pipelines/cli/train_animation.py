"""`tapirus train trajectory` and `tapirus train pixel`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.cli.options import check_device

if TYPE_CHECKING:
    from pipelines.cli.progress import Advance
    from pipelines.training.animation.run import TrainingData
    from pipelines.training.log import Figures

F = TypeVar("F", bound=Callable[..., Any])


def _options(command: F) -> F:
    for option in (
        click.option("--minutes", type=click.FloatRange(min=0), help="Stop cleanly after these."),
        click.option(
            "--ray-address", help="Cluster for the workers, host:port; by default this machine."
        ),
        click.option(
            "--readers",
            type=click.IntRange(min=0),
            default=1,
            show_default=True,
            help="Processes reading clips, for each worker; 0: none but the worker.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Processes that share every batch, through Ray Train; on cuda one GPU each.",
        ),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, …"),
        click.option(
            "--resume", is_flag=True, help="Go on from OUTPUT's checkpoint, if there is one."
        ),
        frames_option(),
        click.option("-o", "--output", required=True, type=click.Path(), help="Folder of the run."),
        click.option(
            "--data", required=True, help="Dataset that `tapirus extract` wrote: folder or URL."
        ),
    ):
        command = option(command)
    return command


def frames_option() -> Callable[[F], F]:
    """--frames, as `frames_folder` takes it."""
    return click.option(
        "--frames",
        type=click.Path(),
        help="Folder where the clips' frames are kept as JPEG.  [default: DATA.frames]",
    )


def frames_folder(data: str, frames: str | None) -> Path:
    """Where frames are kept. Raises UsageError where a dataset behind a URL needs a folder."""
    if frames is not None:
        return Path(frames)
    if "://" in data:
        raise click.UsageError(f"{data} is no local folder: say with --frames where to keep frames")
    return Path(f"{data.rstrip('/')}.frames")


def read_frames(opened: TrainingData, processes: int) -> TrainingData:
    """Decodes the clips that are not in the store yet; says what cannot be read any more."""
    from pipelines.cli.progress import progress_bar
    from pipelines.training.animation.fill import fill_frames
    from pipelines.training.animation.run import with_frames

    indices = [opened.selection.train, opened.selection.validation]
    with progress_bar("reading frames", "clips") as advance:
        missing = fill_frames(
            opened.dataset, opened.store, indices, processes=processes, progress=advance
        )
    if missing.clips:
        click.echo(f"warning: {missing.warning()}", err=True)
    return with_frames(opened)


@click.command("trajectory")
@click.option(
    "--config",
    default="trajectory-small",
    show_default=True,
    help="TOML file, or trajectory-small or trajectory-paper, which come along.",
)
@_options
def trajectory(**words: Any) -> None:
    """Train the model that predicts how the points of a picture move.

    Learns from the tracks of a dataset and the first frames of its clips. OUTPUT gets checkpoints,
    log.jsonl, curves.png, pictures of samples on held-out clips and, in OUTPUT/model, the averaged
    weights, which `tapirus eval trajectory` measures.

    \b
    tapirus extract videos/ -o tracks --grid 32
    tapirus train trajectory --data tracks -o runs/trajectory --minutes 60
    tapirus train trajectory --data tracks -o runs/trajectory --resume
    tapirus train trajectory --data tracks -o runs/paper --config trajectory-paper --device cuda
    """
    _train("trajectory", **words)


@click.command("pixel")
@click.option(
    "--config",
    default="pixel-small",
    show_default=True,
    help="TOML file, or pixel-small or pixel-paper, which come along.",
)
@_options
def pixel(**words: Any) -> None:
    """Train the model that draws the frames of a picture that moves along given tracks.

    Learns from the frames of a dataset's clips and their tracks. OUTPUT gets checkpoints,
    log.jsonl, curves.png, pictures of samples on held-out clips and, in OUTPUT/model, the averaged
    weights, which `tapirus eval pixel` measures.

    \b
    tapirus extract videos/ -o tracks --grid 32
    tapirus train pixel --data tracks -o runs/pixel --minutes 60
    tapirus train pixel --data tracks -o runs/pixel --resume
    """
    _train("pixel", **words)


def _train(
    name: str,
    config: str,
    data: str,
    output: str,
    frames: str | None,
    resume: bool,
    device: str,
    workers: int,
    readers: int,
    minutes: float | None,
    ray_address: str | None,
) -> None:
    from pipelines.cli.progress import progress_bar
    from pipelines.training.animation.cluster import train_on_workers
    from pipelines.training.animation.registry import kind_of, read_config
    from pipelines.training.animation.run import MODEL, open_data, read_record, train
    from pipelines.training.run import Deadline

    kind = kind_of(name)
    settings = read_config(kind, config)
    check_device(device)
    store = frames_folder(data, frames)
    opened = open_data(data, settings, store)
    click.echo(opened.selection.summary())
    opened = read_frames(opened, readers)
    folder = Path(output)
    if ray_address and workers == 1:
        raise click.UsageError("--ray-address is for several --workers")
    options: dict[str, Any] = {"resume": resume, "device": device, "readers": readers}
    with progress_bar("training", "steps") as advance:
        report = _reporter(settings.optim.steps, advance)
        if workers > 1:
            options |= {"workers": workers, "minutes": minutes, "address": ray_address}
            train_on_workers(kind, settings, opened, folder, report=report, **options)
        else:
            options |= {"stop": Deadline(minutes), "notice": _notice}
            train(kind, settings, opened, folder, report=report, **options)
    step, steps = read_record(folder / MODEL)["step"], settings.optim.steps
    if step < steps:
        click.echo(f"stopped at step {step} of {steps}: --resume goes on")
    click.echo(f"{folder / MODEL}: averaged weights")


def _reporter(steps: int, advance: Advance) -> Callable[[Figures], None]:
    def report(figures: Figures) -> None:
        advance(int(figures["step"]), steps)
        if "val_loss" in figures:
            known = [
                f"{name} {figures[name]:.4g} (held out {figures[f'val_{name}']:.4g})"
                for name in figures
                if f"val_{name}" in figures
            ]
            click.echo(f"step {figures['step']:.0f}  {'  '.join(known)}")

    return report


def _notice(line: str) -> None:
    click.echo(line, err=True)
