"""Frames in flight that are more than the object store holds: slower, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import trajectories
from pipelines.extract import ExtractSettings, TrackerFactory, run_extract
from pipelines.extract.cluster import Cluster

pytestmark = pytest.mark.usefixtures("no_leftovers")

STORE_BYTES = 200_000_000  # of the tests' cluster


@pytest.mark.parametrize("batch_clips", [1, 3])
def test_a_full_object_store_holds_nothing_up_for_ever(
    tmp_path: Path,
    cluster: Cluster,
    make_video: Callable[..., Path],
    quick_settings: Callable[..., ExtractSettings],
    stub: Callable[..., TrackerFactory],
    batch_clips: int,
) -> None:
    make_video("long", frames=16 * 12)
    settings = quick_settings(
        num_actors=2,
        in_flight=4 // batch_clips + 1,
        batch_clips=batch_clips,
        clip={"size": 1024, "num_frames": 12},
    )
    flying = settings.clip.nbytes * batch_clips * settings.in_flight * 2
    assert flying > 1.5 * STORE_BYTES
    out = tmp_path / "out"
    summary = run_extract([str(tmp_path / "videos")], str(out), settings, factory=stub(seconds=0.3))
    assert (summary.clips, summary.failures) == (16, 0)
    assert len(trajectories.open_dataset(out)) == 16
