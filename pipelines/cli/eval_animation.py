"""`tapirus eval trajectory` and `tapirus eval pixel`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.cli.options import check_device
from pipelines.cli.outputs import OutputFile
from pipelines.cli.train_animation import frames_folder, frames_option, read_frames

if TYPE_CHECKING:
    import numpy as np

    from pipelines.evaluation.animation.baselines import Method, Seen
    from pipelines.evaluation.animation.saved import SavedModel
    from pipelines.training.animation.loader import ClipReader
    from pipelines.training.animation.run import TrainingData

F = TypeVar("F", bound=Callable[..., Any])


def _options(command: F) -> F:
    for option in (
        click.option("--json", "json_file", type=OutputFile(".json"), help="Figures as a file."),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, …"),
        click.option(
            "--readers",
            type=click.IntRange(min=0),
            default=1,
            show_default=True,
            help="Processes that decode clips whose frames are not kept yet.",
        ),
        click.option("--seed", type=int, default=0, show_default=True, help="Of the samples."),
        click.option(
            "--clips",
            type=click.IntRange(min=1),
            default=64,
            show_default=True,
            help="Held-out clips at most, spread over the dataset.",
        ),
        frames_option(),
        click.option(
            "--model",
            required=True,
            type=click.Path(exists=True, file_okay=False),
            help="Folder `model` of a training run.",
        ),
        click.option("--data", required=True, help="The dataset that it was trained on."),
    ):
        command = option(command)
    return command


@click.command("trajectory")
@click.option(
    "--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Denoising steps."
)
@click.option(
    "--guidance", type=float, default=2.0, show_default=True, help="Weight of the image; 1: plain."
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 2),
    default=1.0,
    show_default=True,
    help="Of the noise that sampling starts from.",
)
@click.option(
    "--max-stretch",
    type=click.FloatRange(min=0),
    default=0.4,
    show_default=True,
    help="By how much of their distance neighbours may part; inf: as sampled.",
)
@_options
def trajectory(
    data: str,
    model: str,
    frames: str | None,
    clips: int,
    steps: int,
    guidance: float,
    temperature: float,
    max_stretch: float,
    seed: int,
    readers: int,
    device: str,
    json_file: str | None,
) -> None:
    """Score predicted motion on clips of videos that were held out of the training.

    Lengths are in pixels of 256x256. minADE K and minFDE K: mean and final distance from the true
    tracks, of the best of K samples. OA: visibility that is right. jerk: mean second difference.
    diversity: mean distance between samples. motion: mean distance from the start. Beside the
    model: no motion, the mean motion of the training clips, and the motion of the training clips
    that look most alike (the K nearest for K samples).

    \b
    tapirus eval trajectory --data tracks --model runs/trajectory/model --json figures.json
    """
    from pipelines.cli.progress import progress_bar
    from pipelines.evaluation.animation.baselines import NearestImages, mean_motion, no_motion
    from pipelines.evaluation.animation.methods import trajectory_method
    from pipelines.evaluation.animation.tables import trajectory_lines
    from pipelines.evaluation.animation.trajectory import evaluate_trajectories

    saved, opened = _open("trajectory", data, model, frames, readers, device)
    config = saved.config
    training = opened.reader(opened.selection.train, config)
    held_out = _held_out(opened, saved, clips)
    with progress_bar("learning baselines", "clips") as advance:
        size = (config.num_frames, config.size, config.grid)
        methods: dict[str, Method] = {
            "model": trajectory_method(
                saved,
                steps=steps,
                guidance=guidance,
                temperature=temperature,
                max_stretch=max_stretch,
                seed=seed,
            ),
            "no motion": no_motion(*size),
            "mean motion": mean_motion(_counted(_seen(training), advance, len(training))),
            "nearest images": NearestImages(
                (training.frames(clip, (0,))[0] for clip in range(len(training))),
                lambda clip: _one(training, clip),
            ),
        }
    with progress_bar("sampling", "clips") as advance:
        report = evaluate_trajectories(
            methods,
            _seen(held_out),
            size=config.size,
            progress=lambda done: advance(done, len(held_out)),
        )
    click.echo("\n".join(trajectory_lines(report)))
    settings = {
        "steps": steps,
        "guidance": guidance,
        "temperature": temperature,
        "max_stretch": max_stretch,
    }
    _write(json_file, data, saved, seed, {**settings, **report.to_json()})


@click.command("pixel")
@click.option(
    "--steps", type=click.IntRange(min=1), default=1, show_default=True, help="Denoising steps."
)
@click.option(
    "--tracker",
    default="tapir-mini",
    show_default=True,
    help="What tracks the generated frames, to compare with the tracks asked for.",
)
@_options
def pixel(
    data: str,
    model: str,
    frames: str | None,
    clips: int,
    steps: int,
    tracker: str,
    seed: int,
    readers: int,
    device: str,
    json_file: str | None,
) -> None:
    """Score generated frames on clips of videos that were held out of the training.

    Each clip is drawn from its first frame and its true tracks. PSNR and SSIM: against the filmed
    frames. EPE: distance, in pixels of 256x256, of points tracked in the generated frames from
    where they should be; <4px: share of them within 4 pixels. Beside the model: the first frame
    carried along the tracks, its holes filled from around them (bare warp), and the filmed frames.

    \b
    tapirus eval pixel --data tracks --model runs/pixel/model --json figures.json
    """
    from pipelines.cli.options import load_tracker
    from pipelines.cli.progress import progress_bar
    from pipelines.evaluation.animation.methods import pixel_method, warp_method
    from pipelines.evaluation.animation.pixel import DrivenClip, evaluate_pixels
    from pipelines.evaluation.animation.tables import pixel_lines

    saved, opened = _open("pixel", data, model, frames, readers, device)
    held_out = _held_out(opened, saved, clips)
    network = load_tracker(tracker, None, device)

    def track(video: np.ndarray, queries: np.ndarray) -> np.ndarray:
        return network.track(video, queries).tracks

    def driven() -> Iterator[DrivenClip]:
        for clip in range(len(held_out)):
            example = held_out.example(clip)
            yield DrivenClip(example.frames, example.grid.tracks, example.grid.visible)

    with progress_bar("drawing", "clips") as advance:
        report = evaluate_pixels(
            {"model": pixel_method(saved, steps=steps, seed=seed), "bare warp": warp_method},
            track,
            driven(),
            progress=lambda done: advance(done, len(held_out)),
        )
    click.echo("\n".join(pixel_lines(report)))
    settings = {"steps": steps, "tracker": tracker}
    _write(json_file, data, saved, seed, {**settings, **report.to_json()})


def _open(
    name: str, data: str, model: str, frames: str | None, readers: int, device: str
) -> tuple[SavedModel, TrainingData]:
    from pipelines.evaluation.animation.saved import load_saved
    from pipelines.training.animation.registry import kind_of
    from pipelines.training.animation.run import open_data

    check_device(device)
    saved = load_saved(Path(model), kind_of(name), device)
    opened = open_data(data, saved.config, frames_folder(data, frames))
    click.echo(opened.selection.summary(), err=True)
    return saved, read_frames(opened, readers)


def _held_out(opened: TrainingData, saved: SavedModel, count: int) -> ClipReader:
    index = opened.selection.validation.spread(count)
    if not len(index):
        raise click.ClickException(
            "no clip of the dataset is held out: train with data.validation_fraction above 0, on "
            "more videos"
        )
    return opened.reader(index, saved.config)


def _one(reader: ClipReader, clip: int) -> Seen:
    from pipelines.evaluation.animation.baselines import Seen

    example = reader.example(clip, (0,))
    return Seen(example.frames[0], example.grid.tracks, example.grid.visible)


def _seen(reader: ClipReader) -> Iterator[Seen]:
    return (_one(reader, clip) for clip in range(len(reader)))


def _counted(
    items: Iterator[Seen], advance: Callable[[int, int], None], total: int
) -> Iterator[Seen]:
    for number, item in enumerate(items, 1):
        yield item
        advance(number, total)


def _write(
    file: str | None, data: str, saved: SavedModel, seed: int, figures: dict[str, Any]
) -> None:
    if file is None:
        return
    head = {"data": data, "step": saved.step, "seed": seed}
    Path(file).write_text(json.dumps({**head, **figures}, indent=1) + "\n", encoding="utf-8")
