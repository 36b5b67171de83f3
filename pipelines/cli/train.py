"""`tapirus train`: training of the models that come with the package."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.cli.options import check_device

_FILE = click.Path(exists=True, dir_okay=False)
_FOLDER = click.Path(exists=True, file_okay=False)


@click.group("train")
def command() -> None:
    """Train a model."""


@command.command("tracker")
@click.option("--config", required=True, type=_FILE, help="TOML of the run.")
@click.option("--photos", type=_FOLDER, help="Photos for textures; without them, random ones.")
@click.option("--objects", type=_FOLDER, help="RGBA cut-outs, beside --photos.")
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="Folder of checkpoint and log."
)
@click.option("--start", type=_FILE, help="Weights to begin a new run with, such as another's.")
@click.option(
    "--resume", type=_FILE, help="Checkpoint to start from, where OUTPUT holds none of its own."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, …")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes making clips; 0: this one.",
)
def tracker(
    config: str,
    photos: str | None,
    objects: str | None,
    output: str,
    start: str | None,
    resume: str | None,
    device: str,
    workers: int,
) -> None:
    """Train a TAPIR tracker on synthetic clips.

    A run that was stopped goes on from the checkpoint in its output folder. The averaged weights
    are written to OUTPUT/tracker.safetensors at the end; `tapirus track --checkpoint` takes them.

    \b
    tapirus train tracker --config run.toml --photos photos/ -o runs/first
    """
    from models.checkpoints import save_checkpoint
    from models.tapir import CONFIGS
    from pipelines.cli.progress import progress_bar
    from pipelines.synthetic import TextureBank
    from pipelines.training.config import load_config
    from pipelines.training.tracker import train

    if objects and not photos:
        raise click.UsageError("--objects are cut out of photos: give --photos as well")
    settings = load_config(config)
    check_device(device)
    bank = (
        TextureBank.from_folder(photos, objects)
        if photos
        else TextureBank.procedural(settings.seed)
    )
    textures, held_out = bank.split(0.1)
    with progress_bar("training", "steps") as advance:

        def report(figures: dict[str, float]) -> None:
            advance(int(figures["step"]), settings.steps)
            if "val_aj" in figures:
                click.echo(
                    f"step {figures['step']:.0f}  loss {figures['loss']:.3f}  "
                    f"held-out AJ {100 * figures['val_aj']:.1f}  "
                    f"δ {100 * figures['val_delta']:.1f}  OA {100 * figures['val_oa']:.1f}"
                )

        trainer = train(
            settings,
            textures,
            held_out,
            Path(output),
            start=None if start is None else Path(start),
            resume=None if resume is None else Path(resume),
            device=device,
            workers=workers,
            report=report,
        )
    target = Path(output) / "tracker.safetensors"
    save_checkpoint(target, trainer.ema, CONFIGS[settings.model])
    click.echo(f"{target}: weights after {trainer.step} steps")
