"""`animate`: a photo in, a video out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from animate.parse import DragType, PinType, numbered, output_path
from pipelines.cli.exits import run_program
from pipelines.cli.outputs import keep_source

if TYPE_CHECKING:
    from animate.photo import Photo
    from animate.pipeline import AnimationPipeline
    from animate.progress import Meter
    from animate.settings import AnimationSettings
    from animate.tracks_file import Motion


@click.command("animate", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tapirus")
@click.argument("image", type=click.Path())
@click.option(
    "-o", "--output", help="Video, .mp4 or .gif.  [default: IMAGE's name, .mp4, beside it]"
)
@click.option("--overwrite", is_flag=True, help="Replace the video beside IMAGE.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Another one, another motion.")
@click.option(
    "--samples",
    type=click.IntRange(1, 64),
    default=1,
    help="Different motions: OUTPUT-1, OUTPUT-2 … and a contact sheet, OUTPUT-sheet.png.",
)
@click.option("--sheet", help="Contact sheet, .png, .jpg or .webp; also for one motion.")
@click.option(
    "--drag",
    "drags",
    type=DragType(),
    multiple=True,
    help="What is at x0,y0 arrives at x1,y1. Again for more.",
)
@click.option(
    "--pin", "pins", type=PinType(), multiple=True, help="What is at x,y stays. Again for more."
)
@click.option("--mask", type=click.Path(), help="Picture, white where IMAGE keeps still.")
@click.option(
    "--strength",
    type=click.FloatRange(0, 4),
    default=1.0,
    help="Longer or shorter motion, 0 to 4.  [default: 1]",
)
@click.option("--loop", is_flag=True, help="Return to the start without a seam.")
@click.option(
    "--fps",
    type=click.FloatRange(1, 60),
    default=15.0,
    help="Frames per second; motions were learned at 15.  [default: 15]",
)
@click.option(
    "--size",
    type=click.IntRange(min=16),
    default=1024,
    show_default=True,
    help="Longer side of the video at most; smaller photos keep their size.",
)
@click.option(
    "--fit",
    type=click.Choice(["auto", "crop", "fit"]),
    default="auto",
    help="What the models see: the centre square, or all of the photo between borders. auto: the "
    "square, unless a drag, a pin or the mask lies beside it.",
)
@click.option("--trajectories", help="Move along these, a file of --save-trajectories.")
@click.option("--save-trajectories", help="Parquet file for the trajectories.")
@click.option(
    "--steps",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Denoising steps of the trajectories.",
)
@click.option(
    "--pixel-steps",
    type=click.IntRange(0, 1000),
    default=1,
    show_default=True,
    help="Denoising steps of what comes into view; 0: filled from around it, fast.",
)
@click.option(
    "--guidance",
    type=click.FloatRange(0, 20),
    default=2.0,
    show_default=True,
    help="How much the photo counts for the motion; 1: as in training.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 2),
    default=1.0,
    show_default=True,
    help="Lower: calmer and more alike, 0 to 2.",
)
@click.option(
    "--max-stretch",
    type=click.FloatRange(0, 100),
    default=0.4,
    show_default=True,
    help="By how much of their distance neighbours may part; wilder motions are made smaller.",
)
@click.option("--model", type=click.Path(), help="Folder of AnimationPipeline.save_pretrained.")
@click.option(
    "--trajectory-model", type=click.Path(), help="Folder `model` of `tapirus train trajectory`."
)
@click.option("--pixel-model", type=click.Path(), help="Folder `model` of `tapirus train pixel`.")
@click.option("--device", help="cpu, cuda, …; by default a GPU if there is one.")
def command(image: str, **words: Any) -> None:
    """Animate IMAGE, a photo: a motion that may go with it, and its frames at the photo's size.

    Points are in pixels of the photo, x to the right and y down from the upper left corner.

    \b
    animate photo.jpg                                → photo.mp4 beside it
    animate photo.jpg --samples 4 --seed 3           four motions, and a sheet to choose from
    animate photo.jpg --drag 120,80:180,60 --pin 40,200 -o out.gif
    animate photo.jpg --loop --strength 1.5 --fps 12 --size 512
    animate photo.jpg --save-trajectories tracks.parquet
    animate photo.jpg --trajectories tracks.parquet

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C, which leaves no half file.
    """
    output = output_path(image, words["output"], words["overwrite"])
    count = words["samples"]
    if words["trajectories"] is not None and count > 1:
        raise click.UsageError("--trajectories give one motion: leave out --samples")
    sheet_path = words["sheet"] or (f"{output.with_suffix('')}-sheet.png" if count > 1 else None)
    saved = words["save_trajectories"]
    _check_outputs(image, output, sheet_path, saved)

    from animate.photo import read_photo
    from animate.progress import Work, progress_meter
    from animate.settings import AnimationSettings

    photo = read_photo(image, max_side=words["size"])
    for note in photo.notes:
        click.echo(f"{image}: {note}", err=True)
    scale = photo.pixels.shape[1] / photo.original_size[0]
    settings = AnimationSettings(
        samples=count,
        drags=tuple(_scaled(drag, scale) for drag in words["drags"]),
        pins=tuple(_scaled(pin, scale) for pin in words["pins"]),
        mask=None if words["mask"] is None else _read_mask(words["mask"]),
        **{name: words[name] for name in _SAME_NAME},
    )
    motion = None if words["trajectories"] is None else _given(words["trajectories"], photo)
    height, width = photo.pixels.shape[:2]
    frames = 24 if motion is None else len(motion.tracks)
    steps = settings.steps if motion is None else 0
    work = Work(count, steps, settings.pixel_steps, frames, width * height / 1e6)
    with progress_meter(work) as meter:
        pipeline = _load(words)
        meter.step("loading", 1, 1)
        motions = pipeline.motions(
            photo.pixels, settings, seed=words["seed"], motion=motion, callback=meter.step
        )
        written = _write(pipeline, photo, motions, settings, words, output, sheet_path, meter)
    for path in written:
        click.echo(path)


_SAME_NAME = (
    "strength",
    "loop",
    "fit",
    "steps",
    "pixel_steps",
    "guidance",
    "temperature",
    "max_stretch",
    "fps",
)


def _check_outputs(image: str, output: Path, sheet: str | None, saved: str | None) -> None:
    """Says before the work what could not be written after it."""
    from pipelines.render import IMAGE_SUFFIXES

    for path, suffixes in ((str(output), None), (sheet, IMAGE_SUFFIXES), (saved, (".parquet",))):
        if path is None:
            continue
        keep_source(image, path)
        folder = Path(path).parent
        if suffixes and Path(path).suffix.lower() not in suffixes:
            raise click.UsageError(f"{path}: give a name that ends in {' or '.join(suffixes)}")
        if not folder.is_dir():
            raise click.ClickException(f"{path}: there is no folder {folder} to write to")
        if not os.access(folder, os.W_OK):
            raise click.ClickException(
                f"{path}: the folder {folder} cannot be written: give another with -o"
            )


def _scaled(control: Any, scale: float) -> Any:
    """A drag or pin in pixels of the photo as it is animated, from those of its file."""
    return type(control)(*(value * scale for value in vars(control).values()))


def _read_mask(path: str) -> Any:
    from animate.photo import read_photo

    return read_photo(path, max_side=2048).pixels.mean(axis=2) > 127


def _given(path: str, photo: Photo) -> Motion:
    """The trajectories of a file, in pixels of the photo as it is animated."""
    from animate.tracks_file import motion_for_photo, read_motion

    height, width = photo.pixels.shape[:2]
    return motion_for_photo(read_motion(path), (width, height))


def _load(words: dict[str, Any]) -> AnimationPipeline:
    from animate.pipeline import AnimationPipeline
    from models.tracker import pick_device
    from pipelines.cli.options import check_device

    check_device(words["device"])
    pipeline = AnimationPipeline.from_pretrained(
        words["model"],
        trajectory=words["trajectory_model"],
        pixel=words["pixel_model"],
        device=pick_device(words["device"]),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _write(
    pipeline: AnimationPipeline,
    photo: Photo,
    motions: list[Motion],
    settings: AnimationSettings,
    words: dict[str, Any],
    output: Path,
    sheet_path: str | None,
    meter: Meter,
) -> list[Path]:
    """Videos, trajectories and sheet; their names."""
    from animate.sheet import SheetRow, sheet
    from animate.tracks_file import motion_for_photo, write_motion
    from pipelines.render import save_image
    from pipelines.video import write_video

    written, rows = [], []
    for number, motion in enumerate(motions, 1):
        if words["save_trajectories"] is not None:
            target = numbered(Path(words["save_trajectories"]), number, len(motions))
            write_motion(target, motion_for_photo(motion, photo.original_size))
            written.append(target)
        title = "" if len(motions) == 1 else f"motion {number}, "
        row = SheetRow(motion, title)
        rows.append(row)
        frames = pipeline.frames(
            photo.pixels,
            motion,
            settings,
            seed=words["seed"] + number - 1,
            callback=meter.step,
        )
        target = numbered(output, number, len(motions))
        write_video(target, _counted(row.watch(frames), len(motion.tracks), meter), settings.fps)
        written.append(target)
    if sheet_path is not None:
        page = sheet(rows, f"{Path(photo.path).name}, seed {words['seed']}")
        written.append(save_image(sheet_path, page))
    return written


def _counted(frames: Any, total: int, meter: Meter) -> Any:
    for number, frame in enumerate(frames, 1):
        yield frame
        meter.step("frames", number, total)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, 1 (failed), 2 (wrong usage) or 130 (Ctrl-C)."""
    sys.exit(run_program("animate", command, argv))
