"""`tapirus status`: how the run into a dataset goes, from any terminal."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

_EVERY = 2.0  # seconds between two looks of --watch


@click.command("status")
@click.argument("dataset")
@click.option("--watch", is_flag=True, help="Look again every 2 s until the run is over.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(dataset: str, watch: bool, as_json: bool) -> int:
    """Progress, rate, time left and failures of the run into DATASET, a folder or URL.

    The run may be going on anywhere: it keeps a small file in the dataset up to date, every 2 s on
    a disk and every 15 s on an object store. Of a run that was killed the file tells how far it
    came and which command goes on from there.

    \b
    tapirus status tracks
    tapirus status gs://out/tracks --watch
    tapirus status tracks --json | jq .snapshot.failures_by_error

    Exit code 1 when the last run was stopped, failed or is dead.
    """
    from pipelines.extract.status import is_starting, process_alive, read_status, sign_of_life
    from pipelines.extract.status_text import (
        UNFINISHED,
        starting_text,
        starting_values,
        status_text,
        status_values,
    )
    from trajectories.leasing import current_lease, lease_verdict
    from trajectories.storage import connect

    storage = connect(dataset)
    while True:
        status, lease, now = read_status(storage), current_lease(storage), time.time()
        sign = sign_of_life(status, now, process_alive) if status is not None else None
        starting = is_starting(lease, lease_verdict(lease) if lease else None, status)
        if lease is not None and starting:
            text = starting_text(storage.root, lease, status, sign)
            values = starting_values(lease)
            sign = "starting"
        elif status is not None and sign is not None:
            text, values = status_text(status, sign, now), status_values(status, sign, now)
        else:
            text, values = _without(dataset)
        if watch and not as_json and sys.stdout.isatty():
            click.clear()
        click.echo(json.dumps(values) if as_json else text)
        if not watch or sign not in ("starting", "running", "waiting"):
            return 1 if sign in UNFINISHED else 0
        time.sleep(_EVERY)


def _without(dataset: str) -> tuple[str, dict[str, Any]]:
    """What there is to say of a dataset without a status. Raises DatasetError where there is none.

    Its commits say what is in it; they are all that counts.
    """
    from trajectories import open_dataset

    opened = open_dataset(dataset)
    clips, failures = len(opened), sum(r.failures for r in opened.shards.values())
    text = (
        f"dataset   {opened.root}\nclips     {clips:,} in {len(opened.shards):,} shards\n"
        f"failures  {failures:,}\nrun       none has left a status here"
    )
    return text, {"sign": None, "clips": clips, "failures": failures}
