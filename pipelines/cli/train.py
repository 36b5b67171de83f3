"""`tapirus train`: training of the models that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.options import check_device
from pipelines.cli.train_animation import pixel, trajectory

if TYPE_CHECKING:
    from pipelines.synthetic import TextureBank

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_ANY = click.Path(path_type=Path)


@click.group("train")
def command() -> None:
    """Train a model."""


command.add_command(trajectory)
command.add_command(pixel)


@command.command("tracker")
@click.option("--config", required=True, type=_FILE, help="TOML of the run; see docs/training.md.")
@click.option("--photos", type=_FOLDER, help="Photos for textures; without any, random ones.")
@click.option("--objects", type=_FOLDER, help="RGBA cut-outs, beside --photos.")
@click.option("--textures", type=_FILE, help="Both of these as one packed file.")
@click.option("--real", type=_FILE, help="Packed real clips, for the config's real_share.")
@click.option(
    "--teacher",
    type=_FILE,
    help="Weights of what tracks the real clips; by default the averaged ones of this run.",
)
@click.option(
    "-o", "--output", required=True, type=_ANY, help="Folder of checkpoint, log and curves."
)
@click.option(
    "--start",
    type=_ANY,
    help="Weights to begin a new schedule with: published ones, or another run's.",
)
@click.option(
    "--resume", type=_ANY, help="Checkpoint to go on from, where OUTPUT holds none of its own."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, …")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes making clips, for each rank; 0: the rank itself.",
)
@click.option(
    "--ranks",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that share every batch, through Ray Train; on cuda one GPU each.",
)
@click.option("--ray-address", help="Cluster for the ranks, host:port; by default this machine.")
def tracker(
    config: Path,
    photos: Path | None,
    objects: Path | None,
    textures: Path | None,
    output: Path,
    device: str,
    ranks: int,
    ray_address: str | None,
    real: Path | None,
    **options: Any,
) -> None:
    """Train a TAPIR tracker on synthetic clips, and on real ones.

    A run that was stopped, or killed, goes on from the checkpoint in its output folder when the
    same command is given again. OUTPUT/log.jsonl gets the figures of every step, OUTPUT/curves.png
    shows them. At the end the averaged weights are written to OUTPUT/tracker.safetensors;
    `tapirus track --checkpoint` takes them.

    \b
    tapirus train tracker --config run.toml --photos photos/ -o runs/first
    tapirus train tracker --config next.toml --photos photos/ -o runs/second \\
        --start runs/first/tracker.safetensors
    tapirus train tracker --config fine-tune.toml --start bootstapir_checkpoint_v2.pt -o runs/boots
    tapirus train tracker --config run.toml --ranks 4 --device cuda -o runs/four-gpus
    tapirus train curves runs/first runs/second -o curves.png
    """
    from pipelines.cli.progress import progress_bar
    from pipelines.training.config import load_config
    from pipelines.training.distributed import train_on_ranks
    from pipelines.training.real import RealClips
    from pipelines.training.tracker import train

    settings = load_config(config)
    bank = _bank(photos, objects, textures, settings.seed)
    check_device(device)
    if ray_address and ranks == 1:
        raise click.UsageError("--ray-address is for several --ranks")
    sides = bank.split(0.1)
    options |= {"device": device, "real": None if real is None else RealClips.load(real)}
    with progress_bar("training", "steps") as advance:

        def report(figures: dict[str, float]) -> None:
            advance(int(figures["step"]), settings.steps)
            if "val_aj" in figures:
                click.echo(
                    f"step {figures['step']:.0f}  loss {figures['loss']:.3f}  "
                    f"held-out AJ {100 * figures['val_aj']:.1f}  "
                    f"δ {100 * figures['val_delta']:.1f}  OA {100 * figures['val_oa']:.1f}"
                )

        if ranks == 1:
            train(settings, *sides, output, report=report, **options)
        else:
            train_on_ranks(
                settings,
                *sides,
                output,
                count=ranks,
                address=ray_address,
                report=report,
                **options,
            )
    _write_weights(output, config, output / "tracker.safetensors")


@command.command("curves")
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=_ANY, help="Picture to write, .png.")
@click.option("--overlay", is_flag=True, help="All runs in the same axes, to compare them.")
def curves(runs: tuple[Path, ...], output: Path, overlay: bool) -> None:
    """Draw the losses and held-out scores of training runs.

    RUNS are output folders or logs. Without --overlay they are drawn one after the other, as the
    stages of one training; a run that went on in another folder continues its line.

    \b
    tapirus train curves runs/stage1 runs/stage2 -o curves.png
    tapirus train curves runs/plain runs/without-refinement --overlay -o compared.png
    """
    from pipelines.training.curves import write_curves

    if output.suffix.lower() != ".png":
        raise click.UsageError(f"{output}: the picture must be a .png")
    write_curves(output, runs, overlay=overlay)
    click.echo(output)


@command.command("weights")
@click.argument("run", type=_ANY)
@click.option("--config", required=True, type=_FILE, help="TOML of that run.")
@click.option("-o", "--output", required=True, type=_ANY, help="File to write, .safetensors.")
def weights(run: Path, config: Path, output: Path) -> None:
    """Take the averaged weights out of a checkpoint.

    RUN is an output folder or a checkpoint, whole or in parts, such as a GPU machine left behind.

    \b
    tapirus train weights runs/gpu --config gpu.toml -o tracker.safetensors
    """
    _write_weights(run, config, output)


def _bank(
    photos: Path | None, objects: Path | None, textures: Path | None, seed: int
) -> TextureBank:
    from pipelines.synthetic import TextureBank

    if objects and not photos:
        raise click.UsageError("--objects are cut out of photos: give --photos as well")
    if photos and textures:
        raise click.UsageError(
            "--textures stands for --photos and --objects: give one or the other"
        )
    if textures:
        return TextureBank.load(textures)
    return TextureBank.from_folder(photos, objects) if photos else TextureBank.procedural(seed)


def _write_weights(run: Path, config: Path, target: Path) -> None:
    from models.checkpoints import save_checkpoint
    from models.checkpoints.infer import check_shapes
    from pipelines.training.checkpoint import CHECKPOINT, load_state
    from pipelines.training.config import load_config

    if target.suffix != ".safetensors":
        raise click.UsageError(f"{target}: weights are written as .safetensors")
    state = load_state(run / CHECKPOINT if run.is_dir() else run)
    architecture = load_config(config).architecture()
    check_shapes(state.ema, architecture)
    save_checkpoint(target, state.ema, architecture)
    click.echo(f"{target}: weights after {state.step} steps")
