"""`tapirus synthetic`: look at the clips that the trackers are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.outputs import OutputFile
from pipelines.cli.progress import progress_bar
from pipelines.render import IMAGE_SUFFIXES, draw_tracks, save_image

if TYPE_CHECKING:
    from pipelines.synthetic import SyntheticClip, SyntheticConfig, TextureBank

_FOLDER = click.Path(exists=True, file_okay=False)
_CAMERAS = ("static", "drifting", "shaking", "zooming", "panning")
_FPS = 12.0  # of the videos: slow enough to follow the points


@click.command("synthetic")
@click.option("--photos", type=_FOLDER, help="Photos for textures; without any, random ones.")
@click.option("--objects", type=_FOLDER, help="RGBA cut-outs, beside --photos.")
@click.option("--count", type=click.IntRange(1, 200), default=12, show_default=True, help="Clips.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the first clip."
)
@click.option(
    "--size",
    type=click.IntRange(16, 1024),
    default=256,
    show_default=True,
    help="Side of the frames, pixels.",
)
@click.option("--camera", type=click.Choice(_CAMERAS), help="Only this kind.  [default: all]")
@click.option(
    "--solid",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of clips of solid bodies in a room.",
)
@click.option("-o", "--output", type=OutputFile(*IMAGE_SUFFIXES), help="Contact sheet, .png, ….")
@click.option(
    "--videos",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for clips: .mp4, the same with tracks drawn, and .npz with the truth.",
)
def command(
    photos: str | None,
    objects: str | None,
    count: int,
    seed: int,
    size: int,
    camera: str | None,
    solid: float,
    output: str | None,
    videos: Path | None,
) -> None:
    """Make synthetic clips with exact tracks, and draw them.

    The sheet has one row per clip: frames with their tracks (hollow points are hidden there), and
    all tracks from dark (first) to bright (last). The folder of --videos is one that
    `tapirus eval tracker --data` takes. The same seed and textures give the same clip.

    \b
    tapirus synthetic -o sheet.png
    tapirus synthetic --photos photos/ --objects cutouts/ --camera panning --count 6 -o pan.png
    tapirus synthetic --photos photos/ --seed 100 --count 20 --videos clips/
    """
    from pipelines.synthetic import Cameras, SyntheticConfig
    from pipelines.synthetic.preview import contact_sheet

    if output is None and videos is None:
        raise click.UsageError("nothing to write: give -o for a sheet, or --videos")
    if objects and not photos:
        raise click.UsageError("--objects are cut out of photos: give --photos as well")
    cameras = Cameras.only(camera) if camera else Cameras()
    config = SyntheticConfig(height=size, width=size, solid=solid, cameras=cameras)
    seeds = range(seed, seed + count)
    clips = _make(seeds, config, _textures(photos, objects))
    if output is not None:
        save_image(output, contact_sheet(clips, [f"seed {number}" for number in seeds]))
        click.echo(f"{output}: {count} clips, seeds {seed} to {seeds[-1]}")
    if videos is not None:
        videos.mkdir(parents=True, exist_ok=True)
        for number, clip in zip(seeds, clips, strict=True):
            _write(videos, f"seed_{number}", clip)
        click.echo(f"{videos}: {count} clips with truth, and with their tracks drawn")


def _textures(photos: str | None, objects: str | None) -> TextureBank:
    from pipelines.synthetic import TextureBank

    if photos is None:
        return TextureBank.procedural()
    return TextureBank.from_folder(photos, objects)


def _make(seeds: range, config: SyntheticConfig, bank: TextureBank) -> list[SyntheticClip]:
    from pipelines.synthetic import make_clip

    clips = []
    with progress_bar("making clips", "clips") as advance:
        for seed in seeds:
            clips.append(make_clip(seed, config, bank))
            advance(len(clips), len(seeds))
    return clips


def _write(folder: Path, name: str, clip: SyntheticClip) -> None:
    from pipelines.synthetic.preview import save_truth
    from pipelines.video.write import write_video

    drawn = draw_tracks(clip.video, clip.tracks, ~clip.occluded, starts=clip.queries[:, :0:-1])
    write_video(folder / f"{name}.mp4", clip.video, _FPS)
    write_video(folder / f"{name}_tracks.mp4", drawn, _FPS)
    save_truth(folder / f"{name}.npz", clip)
