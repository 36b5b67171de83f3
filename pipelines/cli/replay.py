"""`tapirus replay`: one clip of a dataset again, to see why it failed."""

from __future__ import annotations

import shlex

import click

from pipelines.cli.outputs import OutputFile, keep_source
from pipelines.video.write import SUFFIXES


@click.command("replay")
@click.argument("dataset")
@click.argument("clip_id")
@click.option("--checkpoint", help="Weights file in place of the tracker's own.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Limit for each stage.",
)
@click.option(
    "--write", type=OutputFile(*SUFFIXES), help="Draw the tracks over the clip (.mp4, .gif)."
)
def command(
    dataset: str, clip_id: str, checkpoint: str | None, timeout: float, write: str | None
) -> int:
    """Run the clip CLIP_ID (or the start of it) of DATASET again and say what happens to it.

    It is read, tracked and packed as `tapirus extract` does, in a process of its own, so that a
    crash is reported, too. In place of CLIP_ID a video may stand that failed as a whole. The
    dataset is not changed. Exit code 0 when it works now, 1 when it fails.

    \b
    tapirus query tracks "SELECT replay, message FROM failures"
    tapirus replay tracks 3f9a
    tapirus replay tracks 3f9a --write clip.mp4
    """
    from pipelines.extract.replay import find_case, replay
    from trajectories import open_dataset
    from trajectories.receipts import commit_name

    opened = open_dataset(dataset)
    case = find_case(opened, clip_id)
    if write is not None:
        keep_source(case.source, write)
    if case.spec is None:
        _say("video", case.source)
    else:
        info = case.spec.info
        _say("clip", f"{info.clip_id}, {info.source} from {info.start_s:.2f} to {info.end_s:.2f} s")
    if case.failure is None:
        _say("before", "it is among the clips of the dataset")
    else:
        old = case.failure
        tries = "once" if old.attempts == 1 else f"{old.attempts} times"
        _say("before", f"failed {tries} at {old.stage}: {old.error}: {old.message}")
    works = False
    for stage in replay(opened, case, checkpoint, timeout, write=write):
        _say(stage.name, f"{stage.seconds:6.2f} s   {'' if stage.ok else 'FAILED: '}{stage.text}")
        works = stage.ok
    if works and case.failure is not None:
        commit = opened.storage.url(commit_name(case.shard))
        again = f"tapirus extract -o {shlex.quote(dataset)}"
        _say("result", f"works now; to have it in the dataset remove {commit}")
        _say("", f"and run `{again}` with the settings of before: its shard is made anew")
    else:
        _say("result", "works" if works else "fails")
    return 0 if works else 1


def _say(name: str, text: str) -> None:
    click.echo(f"{name:<9} {text}")
