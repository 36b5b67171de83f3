"""`tapirus eval`: figures of a tracker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from pipelines.cli.eval_animation import pixel, trajectory
from pipelines.cli.options import load_tracker
from pipelines.cli.outputs import OutputFile
from pipelines.cli.progress import progress_bar

if TYPE_CHECKING:
    from pipelines.evaluation.consistency import Consistency
    from pipelines.evaluation.methods import Method
    from pipelines.evaluation.tapvid import QueryMode
    from pipelines.synthetic import TextureBank

F = TypeVar("F", bound=Callable[..., Any])

_FOLDER = click.Path(exists=True, file_okay=False)
_AT_LEAST_ONE = click.IntRange(min=1)


@click.group("eval")
def command() -> None:
    """Measure how well a model does."""


command.add_command(trajectory)
command.add_command(pixel)


def _options(function: F) -> F:
    """What the commands of this group share."""
    for option in (
        click.option("--json", "json_file", type=OutputFile(".json"), help="Figures as a file."),
        click.option("--clips", type=_AT_LEAST_ONE, help="Clips of each --data at most."),
        click.option(
            "--baselines/--no-baselines",
            default=True,
            show_default=True,
            help="Trackers without learning beside the model.",
        ),
        click.option("--device", help="cpu, cuda, cuda:1 …; by default a GPU if there is one."),
        click.option(
            "--dtype",
            type=click.Choice(["auto", "float32", "bfloat16"]),
            default="auto",
            show_default=True,
            help="Arithmetic; auto is bfloat16 where the hardware has it.",
        ),
        click.option(
            "--iterations",
            type=click.IntRange(0, 16),
            help="Refinements of each track in place of the model's own; 0: none.",
        ),
        click.option(
            "--checkpoint",
            "checkpoints",
            type=click.Path(),
            multiple=True,
            help="Weights file; several are compared.",
        ),
        click.option(
            "--model",
            "names",
            default="tapir-mini",
            show_default=True,
            help="tapir-mini, tapir, bootstapir …; several with commas between.",
        ),
    ):
        function = option(function)
    return function


@command.command("tracker")
@click.option(
    "--data",
    required=True,
    multiple=True,
    metavar="FOLDER|FILE|synthetic",
    help="Clips with known tracks; several sets are averaged.",
)
@click.option("--videos", type=_FOLDER, help="Where the videos of a folder of .npz files lie.")
@click.option("--photos", type=_FOLDER, help="Photos for synthetic clips; else random textures.")
@click.option("--objects", type=_FOLDER, help="RGBA cut-outs, beside --photos.")
@click.option(
    "--mode",
    type=click.Choice(["first", "strided", "both"]),
    default="first",
    show_default=True,
    help="Ask where a point is first seen, or at every fifth frame.",
)
@click.option(
    "--breakdown", is_flag=True, help="Figures by motion, occlusion, texture, refinement."
)
@_options
def tracker(
    data: tuple[str, ...],
    videos: str | None,
    photos: str | None,
    objects: str | None,
    mode: Literal["first", "strided", "both"],
    breakdown: bool,
    names: str,
    checkpoints: tuple[str, ...],
    iterations: int | None,
    dtype: str,
    device: str | None,
    baselines: bool,
    clips: int | None,
    json_file: str | None,
) -> None:
    """Score a tracker on clips with known tracks: TAP-Vid's AJ, δ and OA in percent at 256x256.

    DATA is a folder of NAME.npz files with their videos, a .pkl file of TAP-Vid or a folder of
    them, or the word synthetic. docs/evaluation.md tells what the files hold and the figures mean.

    \b
    tapirus eval tracker --data synthetic --photos photos/ --breakdown
    tapirus eval tracker --model tapir-mini,bootstapir --data tapvid_davis.pkl --mode both
    tapirus eval tracker --checkpoint runs/a/tracker.safetensors --data truth/ --videos clips/
    """
    from pipelines.evaluation import report
    from pipelines.evaluation.comparison import Row, compare, means
    from pipelines.evaluation.methods import LUCAS_KANADE, STAND_STILL
    from pipelines.evaluation.sources import open_source

    if objects and not photos:
        raise click.UsageError("--objects are cut out of photos: give --photos as well")
    folder = None if videos is None else Path(videos)
    sources = [
        open_source(spec, videos=folder, textures=lambda: _held_out(photos, objects), limit=clips)
        for spec in data
    ]
    methods = _networks(names, checkpoints, iterations, device, dtype)
    methods += [LUCAS_KANADE, STAND_STILL] if baselines else []
    modes: list[QueryMode] = ["first", "strided"] if mode == "both" else [mode]
    counts = [source.count for source in sources]
    total = None if None in counts else sum(count or 0 for count in counts)
    rows: list[Row] = []
    click.echo(report.header())
    with _counting("scoring", total) as clip_done:
        for row in compare(sources, methods, modes, breakdown=breakdown, clip_done=clip_done):
            rows.append(row)
            click.echo(report.row_line(row))
    averages = means(rows)
    click.echo()
    for mean in averages:
        click.echo(report.mean_line(mean))
    if breakdown:
        click.echo("\n".join(report.breakdown_lines(rows)))
    if json_file is not None:
        _write(json_file, {**_settings(dtype, iterations), **report.as_json(rows, averages)})


@command.command("consistency")
@click.option(
    "--data", required=True, multiple=True, metavar="FOLDER|FILE", help="Videos, or their folder."
)
@click.option(
    "--max-frames",
    type=click.IntRange(min=3),
    default=48,
    show_default=True,
    help="Frames of each video, from its start.",
)
@click.option(
    "--grid", type=_AT_LEAST_ONE, default=16, show_default=True, help="Points per side on frame 0."
)
@_options
def consistency(
    data: tuple[str, ...],
    max_frames: int,
    grid: int,
    names: str,
    checkpoints: tuple[str, ...],
    iterations: int | None,
    dtype: str,
    device: str | None,
    baselines: bool,
    clips: int | None,
    json_file: str | None,
) -> None:
    """Track points to the end of real videos and back again, where no truth is known.

    Pixels are those of 256x256. back: median distance from where a point started to where its way
    back ends. <4px: share of the ways back that end within 4 pixels. jitter: mean second difference
    of the visible tracks. seen: share of points and frames said to be visible.

    \b
    tapirus eval consistency --data videos/ --clips 20
    """
    import models
    from pipelines.evaluation import report
    from pipelines.evaluation.consistency import consistency as measure
    from pipelines.evaluation.consistency import mean_consistency, read_clip
    from pipelines.evaluation.methods import LUCAS_KANADE
    from pipelines.video import expand_sources

    files = _spread(expand_sources(data), clips)
    methods = _networks(names, checkpoints, iterations, device, dtype)
    methods += [LUCAS_KANADE] if baselines else []
    found: dict[str, dict[str, Consistency]] = {method.name: {} for method in methods}
    click.echo(report.consistency_header())
    with _counting("tracking", len(files)) as clip_done:
        for file in files:
            video = read_clip(file, max_frames)
            queries = models.grid_queries(video.shape[1], video.shape[2], grid, grid)
            for method in methods:
                figures = found[method.name][file] = measure(method.track, video, queries)
                click.echo(report.consistency_line(Path(file).stem, method.name, figures))
            clip_done()
    averages = {name: mean_consistency(list(own.values())) for name, own in found.items()}
    click.echo()
    for name, figures in averages.items():
        click.echo(report.consistency_line(f"mean ({len(files)} clips)", name, figures))
    if json_file is not None:
        _write(
            json_file,
            {
                **_settings(dtype, iterations),
                **{"max_frames": max_frames, "grid": grid},
                **report.consistency_json(found, averages),
            },
        )


def _spread(files: list[str], count: int | None) -> list[str]:
    """Some of the files, evenly over their names: neighbours are often of one source."""
    if count is None or count >= len(files):
        return files
    return [files[index * len(files) // count] for index in range(count)]


def _networks(
    names: str, checkpoints: tuple[str, ...], iterations: int | None, device: str | None, dtype: str
) -> list[Method]:
    """The networks that the options ask for, named so that they can be told apart."""
    from pipelines.evaluation.methods import network_method

    wanted = [name.strip() for name in names.split(",")]
    if checkpoints and len(wanted) > 1:
        raise click.UsageError("--checkpoint says itself which model it is: give one --model")
    files: tuple[str | None, ...] = checkpoints or (None,)
    found = []
    for name, checkpoint in ((name, file) for name in wanted for file in files):
        network = load_tracker(name, checkpoint, device, dtype)
        if iterations is not None:
            network = network.with_iterations(iterations)
        label = name if checkpoint is None else _label(checkpoint, checkpoints)
        found.append(network_method(label, network))
    return found


def _label(checkpoint: str, among: tuple[str, ...]) -> str:
    """The end of a path, as short as it stays unique: runs all call their weights the same."""
    parts = Path(checkpoint).with_suffix("").parts
    others = [Path(other).with_suffix("").parts for other in among if other != checkpoint]
    length = 1
    while length < len(parts) and any(other[-length:] == parts[-length:] for other in others):
        length += 1
    return "/".join(parts[-length:])


def _held_out(photos: str | None, objects: str | None) -> TextureBank:
    """Textures that training does not see."""
    from pipelines.synthetic import TextureBank

    if photos is None:
        return TextureBank.procedural(1).split(0.1)[1]
    try:
        return TextureBank.from_folder(photos, objects).split(0.1)[1]
    except ValueError as error:
        raise ValueError(
            f"{photos}: {error}; a tenth of the photos is held out of training"
        ) from error


@contextmanager
def _counting(label: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar over clips, told of each that is done."""
    done = 0
    with progress_bar(label, "clips") as advance:

        def clip_done() -> None:
            nonlocal done
            done += 1
            advance(done, total)

        yield clip_done


def _settings(dtype: str, iterations: int | None) -> dict[str, Any]:
    return {"dtype": dtype, "iterations": iterations}


def _write(file: str, figures: dict[str, Any]) -> None:
    Path(file).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
