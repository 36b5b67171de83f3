"""The tracker people call: shapes, types, errors; and where it runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import models
from models.budget import bytes_per_query, choose_chunks
from models.tapir import CONFIGS
from models.tracker import Tracker, pick_dtype
from tests.models.small import small_network


@pytest.fixture(scope="module")
def tracker() -> Tracker:
    return Tracker(small_network(), device="cpu", dtype="float32")


def _video(frames: int = 4, height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), np.uint8)


def test_result_shapes_and_types(tracker: Tracker) -> None:
    result = tracker.track(_video(), np.array([[0, 10, 20], [3, 64, 96]], np.float32))
    assert result.tracks.shape == (2, 4, 2)
    assert result.tracks.dtype == np.float32
    assert result.occlusion.shape == result.uncertainty.shape == result.visible.shape == (2, 4)
    assert result.visible.dtype == np.bool_


def test_visibility_combines_both_logits(tracker: Tracker) -> None:
    result = tracker.track(_video(), models.grid_queries(64, 96, 4, 4))
    sure, seen = (1 / (1 + np.exp(v)) for v in (result.uncertainty, result.occlusion))
    np.testing.assert_array_equal(result.visible, sure * seen > 0.5)


def test_no_queries_give_empty_arrays(tracker: Tracker) -> None:
    result = tracker.track(_video(), np.zeros((0, 3), np.float32))
    assert result.tracks.shape == (0, 4, 2)
    assert result.visible.shape == (0, 4)


def test_progress_counts_to_the_end(tracker: Tracker) -> None:
    seen: list[tuple[int, int]] = []
    queries = models.grid_queries(64, 96, 30, 30)
    tracker.track(_video(8), queries, progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 1
    assert seen[-1] == (900, 900)
    assert seen == sorted(seen)


def test_other_numbers_of_iterations_are_steps_of_one_way() -> None:
    tracker = Tracker(small_network(), device="cpu", dtype="float32")
    queries = models.grid_queries(64, 64, 3, 3)
    video = _video(width=64)  # the initial resolution: one level
    final, iterates = tracker.track_iterates(video, queries)
    assert len(iterates) == 3
    np.testing.assert_array_equal(final.tracks, tracker.track(video, queries).tracks)
    for count in range(4):
        result = tracker.with_iterations(count).track(video, queries)
        if count < 3:
            np.testing.assert_array_equal(result.tracks, iterates[count].tracks)
            np.testing.assert_array_equal(result.visible, iterates[count].visible)
    assert np.abs(result.tracks - final.tracks).max() > 0  # one more than the network's own two
    assert tracker.network.config.num_iterations == 2
    with pytest.raises(ValueError, match="at least 0"):
        tracker.with_iterations(-1)


def test_same_inputs_give_the_same_bytes(tracker: Tracker) -> None:
    queries = models.grid_queries(64, 96, 5, 5)
    first, second = tracker.track(_video(), queries), tracker.track(_video(), queries)
    assert first.tracks.tobytes() == second.tracks.tobytes()


@pytest.mark.parametrize(
    "video, message",
    [
        (_video().astype(np.float32), "uint8"),
        (_video()[0], "shape"),
        (_video()[..., :2], "shape"),
        (_video()[:0], "at least one frame"),
    ],
)
def test_bad_video(tracker: Tracker, video: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tracker.track(video, np.zeros((1, 3), np.float32))


@pytest.mark.parametrize(
    "query", [(4, 1, 1), (-1, 1, 1), (0, 65, 1), (0, 1, 97), (0, np.nan, 1), (np.inf, 1, 1)]
)
def test_query_outside_the_video_is_named(tracker: Tracker, query: tuple[float, ...]) -> None:
    queries = np.array([(0, 1, 1), query], np.float32)
    with pytest.raises(ValueError, match=r"query 1 .* lies outside the video of 4 frames, 96x64"):
        tracker.track(_video(), queries)


def test_queries_of_another_shape(tracker: Tracker) -> None:
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        tracker.track(_video(), np.zeros((3, 2), np.float32))


def test_grid_queries_are_cell_centres() -> None:
    grid = models.grid_queries(20, 40, 2, 4, t=3)
    assert grid.tolist()[:2] == [[3, 5, 5], [3, 5, 15]]
    assert grid.tolist()[-1] == [3, 15, 35]


def test_unknown_dtype() -> None:
    with pytest.raises(ValueError, match="auto, float32, bfloat16"):
        pick_dtype("float16", torch.device("cpu"))


def test_bfloat16_stays_near_float32() -> None:
    queries = models.grid_queries(64, 96, 4, 4)
    exact = Tracker(small_network(), device="cpu", dtype="float32").track(_video(), queries)
    rough = Tracker(small_network(), device="cpu", dtype="bfloat16").track(_video(), queries)
    assert rough.tracks.dtype == np.float32
    # Random features make ambiguous matches; most must agree all the same.
    error = np.linalg.norm(exact.tracks - rough.tracks, axis=-1)
    assert np.median(error) < 1.0


@pytest.mark.parametrize("name", list(CONFIGS))
def test_chunks_respect_the_budget(name: str) -> None:
    config = CONFIGS[name]
    for frames in (1, 24, 250, 5000):
        for size in ((256, 256), (480, 854), (1080, 1920)):
            on_cpu = choose_chunks(config, frames, size, itemsize=4)
            assert on_cpu.queries >= 1
            assert on_cpu.frames >= 1
            per_query = bytes_per_query(config, frames, size, 4)
            assert on_cpu.queries == 1 or on_cpu.queries * per_query <= 256 << 20
            small = choose_chunks(config, frames, size, itemsize=2, free_device_bytes=8 << 30)
            large = choose_chunks(config, frames, size, itemsize=2, free_device_bytes=80 << 30)
            assert small.queries <= large.queries
            assert small.frames <= large.frames


def test_models_import_needs_only_torch_and_numpy() -> None:
    import subprocess
    import sys

    code = (
        "import sys, models; heavy = {'ray', 'apache_beam', 'click', 'av', 'cv2', 'duckdb', "
        "'pyarrow', 'jaxtyping', 'pipelines', 'trajectories'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
