"""`tapirus train`: training of the models that come with the package."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("train")
def command() -> None:
    """Train a model."""


@command.command("tracker")
@click.option("--config", required=True, type=click.Path(exists=True), help="TOML of the run.")
@click.option("--photos", type=click.Path(exists=True), help="Folder of photos for textures.")
@click.option("--objects", type=click.Path(exists=True), help="Folder of RGBA cut-outs.")
@click.option("-o", "--output", required=True, type=click.Path(), help="Checkpoints and log.")
@click.option("--resume", type=click.Path(exists=True), help="Checkpoint to start from.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, …")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes making clips.")
def tracker(
    config: str,
    photos: str | None,
    objects: str | None,
    output: str,
    resume: str | None,
    device: str,
    workers: int,
) -> None:
    """Train a TAPIR tracker on synthetic clips.

    A run that was stopped goes on from the checkpoint in its output folder. The averaged weights
    are written to OUTPUT/tracker.safetensors at the end.
    """
    from models.checkpoints import save_checkpoint
    from models.tapir import CONFIGS
    from pipelines.cli.progress import progress_bar
    from pipelines.synthetic import TextureBank
    from pipelines.training.config import load_config
    from pipelines.training.tracker import train

    settings = load_config(config)
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
            resume=None if resume is None else Path(resume),
            device=device,
            workers=workers,
            report=report,
        )
    target = Path(output) / "tracker.safetensors"
    save_checkpoint(target, trainer.ema, CONFIGS[settings.model])
    click.echo(f"{target}: weights after {trainer.step} steps")
