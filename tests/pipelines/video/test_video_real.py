"""Clips of real video files, where the reference material is at hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipelines.video import ClipSettings, expand_sources, plan_clips, read_clip
from tests.pipelines.video.video_makers import decode_straight

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def clips(shared_data: Path) -> Path:
    return shared_data / "videos" / "test"


def test_every_file_plans_and_its_last_clip_reads(clips: Path) -> None:
    sources = expand_sources([clips])
    assert len(sources) == 15
    for source in sources:
        plan = plan_clips(source)
        assert plan.error is None
        infos = [spec.info for spec in plan.specs]
        assert all(a.end_s <= b.start_s + 0.01 for a, b in pairwise(infos))
        clip = read_clip(plan.specs[-1])
        assert clip.shape == (24, 256, 256, 3)
        assert clip.std() > 5


def test_cuts_that_can_be_seen(clips: Path) -> None:
    def starts(name: str) -> list[int]:
        specs = plan_clips(str(clips / name), ClipSettings(num_frames=6)).specs
        return [round(spec.info.start_s * 25) for spec in specs]

    assert {30, 76, 137, 187, 242} <= set(starts("skv_bikes.mp4"))
    assert 202 in starts("torchcodec_nasa.mp4")


@pytest.mark.parametrize("name", ["mma_makeup.avi", "intel_again.mkv", "mdn_stream_webm.webm"])
def test_the_frames_are_those_of_a_straight_decode(clips: Path, name: str) -> None:
    frames = decode_straight(clips / name)
    settings = ClipSettings(num_frames=24, size=64, fit="fit", cut_threshold=None)
    last = plan_clips(str(clips / name), settings).specs[-1]
    first = 24 * (len(frames) // 24) - 24
    height = round(64 * frames[0].height / frames[0].width)
    top = (64 - height) // 2
    expected = [
        frame.to_ndarray(format="rgb24", width=64, height=height, interpolation="AREA")
        for frame in frames[first : first + 24]
    ]
    np.testing.assert_array_equal(read_clip(last)[:, top : top + height], np.stack(expected))
