"""From sources and methods to rows, means, lines of text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from models.tracker import Tracker
from pipelines.evaluation import report
from pipelines.evaluation.breakdown import FACTORS
from pipelines.evaluation.clips import ask
from pipelines.evaluation.comparison import Row, compare, means
from pipelines.evaluation.methods import STAND_STILL, Method, network_method
from pipelines.evaluation.sources import Asked, ClipSource
from pipelines.evaluation.tapvid import QueryMode
from tests.models.small import small_network
from tests.pipelines.evaluation.eval_makers import drifting

VIDEO = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)


def still_source(name: str, num_clips: int, seen: Sequence[int] = range(6)) -> ClipSource:
    """Clips of two points that stand still, visible on some frames."""
    tracks = np.tile(np.array([[[10.0, 20.0]], [[40.0, 30.0]]]), (1, 6, 1))
    occluded = np.ones((2, 6), bool)
    occluded[:, list(seen)] = False

    def clips(modes: Sequence[QueryMode]) -> Iterator[Asked]:
        for index in range(num_clips):
            yield {m: ask(VIDEO, tracks, occluded, m, name=f"{index}") for m in modes}

    return ClipSource(name, num_clips, clips)


def test_a_row_for_every_clip_mode_and_method() -> None:
    done = []
    sources = [still_source("a", 2), still_source("b", 1)]
    rows = list(
        compare(
            sources,
            [STAND_STILL, drifting(1)],
            ["first", "strided"],
            clip_done=lambda: done.append(1),
        )
    )
    assert len(done) == 3
    assert [(r.data, r.clip, r.mode, r.method) for r in rows][:5] == [
        ("a", "0", "first", "stand-still"),
        ("a", "0", "first", "drift 1"),
        ("a", "0", "strided", "stand-still"),
        ("a", "0", "strided", "drift 1"),
        ("a", "1", "first", "stand-still"),
    ]
    assert [r.num_queries for r in rows[:3]] == [2, 2, 4]
    assert rows[0].metrics.average_jaccard == 1
    # 64 pixels are shown as 256: off by 4, 8, 12, 16 and 20.
    assert rows[1].metrics.pts_within == pytest.approx((0, 0, 0, 1 / 5, 3 / 5))


def test_means_over_clips_and_over_sets() -> None:
    sources = [still_source("a", 3), still_source("b", 1, seen=(0, 1))]
    found = {
        (mean.data, mean.method): mean.metrics
        for mean in means(list(compare(sources, [STAND_STILL, drifting(1)], ["first"])))
    }
    assert found["a", "stand-still"].average_jaccard == 1
    assert found["a", "stand-still"].num_clips == 3
    assert found["b", "stand-still"].occlusion_accuracy == pytest.approx(1 / 5)
    across = found[None, "stand-still"]
    assert across.occlusion_accuracy == pytest.approx((1 + 1 / 5) / 2)
    assert across.num_clips == 4
    assert list(found)[-1] == (None, "drift 1")


def test_one_set_needs_no_mean_over_sets() -> None:
    rows = list(compare([still_source("a", 2)], [STAND_STILL], ["first", "strided"]))
    assert [(mean.data, mean.mode) for mean in means(rows)] == [("a", "first"), ("a", "strided")]


def test_clips_without_queries_in_a_mode_are_left_out() -> None:
    source = still_source("sparse", 1, seen=(1, 2))
    rows = list(compare([source], [STAND_STILL], ["first", "strided"]))
    assert [row.mode for row in rows] == ["first"]
    with pytest.raises(ValueError, match="sparse: holds no clips with points to ask for"):
        list(compare([source], [STAND_STILL], ["strided"]))
    with pytest.raises(ValueError, match="empty: holds no clips"):
        list(compare([still_source("empty", 0)], [STAND_STILL], ["first"]))


@pytest.fixture(scope="module")
def network() -> Method:
    return network_method("small", Tracker(small_network(), device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def broken_down(network: Method) -> list[Row]:
    return list(compare([still_source("a", 2)], [network, STAND_STILL], ["first"], breakdown=True))


def test_a_network_takes_queries_outside_the_frame_to_its_border(network: Method) -> None:
    tracks, occluded = network.track(VIDEO, np.array([[7.0, -3.0, 70.0], [0, 20, 10]]))
    assert tracks.shape == (2, 6, 2)
    assert occluded.dtype == np.bool_


def test_scores_by_iteration_end_with_the_final_one(broken_down: list[Row]) -> None:
    row = broken_down[0]
    assert len(row.iterates) == 3
    np.testing.assert_array_equal(row.iterates[-1].jaccard, row.scores.jaccard)
    assert broken_down[1].iterates == ()


def test_breakdown_tables_have_all_methods_side_by_side(broken_down: list[Row]) -> None:
    lines = "\n".join(report.breakdown_lines(broken_down)).splitlines()
    for factor in FACTORS:
        (title,) = [line for line in lines if line.startswith(f"first: {factor.title}")]
        assert title.split()[-2:] == ["small", "stand-still"]
    slowest = next(line for line in lines if line.startswith("up to 0.5"))
    # Two points on five frames of two clips; standing still is right.
    assert slowest.split()[3] == "20"
    assert slowest.split()[-3:] == ["100.0", "100.0", "100.0"]
    start = lines.index(next(line for line in lines if line.startswith("first: refinement")))
    assert [line.split()[0] for line in lines[start + 2 :]] == ["initialisation", "after", "after"]


def test_lines_show_percents_and_what_is_unknown() -> None:
    (row,) = compare([still_source("a", 1, seen=(0,))], [STAND_STILL], ["first"])
    assert report.row_line(row).split() == [
        "a",
        "0",
        "first",
        "stand-still",
        "0.0",
        "-",
        "0.0",
        *"-----",
    ]
    (row,) = compare([still_source("a", 1)], [STAND_STILL], ["first"])
    assert report.row_line(row).split()[4:] == ["100.0"] * 8
    assert len(report.header()) == len(report.row_line(row))
    (mean,) = means([row])
    assert report.mean_line(mean).startswith("a, mean first (1 clips)")


def test_json_is_plain(broken_down: list[Row]) -> None:
    found = json.loads(json.dumps(report.as_json(broken_down, means(broken_down)), allow_nan=False))
    assert [(c["clip"], c["method"], c["queries"]) for c in found["clips"]] == [
        ("0", "small", 2),
        ("0", "stand-still", 2),
        ("1", "small", 2),
        ("1", "stand-still", 2),
    ]
    still = found["means"][1]
    assert still["average_jaccard"] == still["pts_within"]["16"] == still["jaccard"]["1"] == 1
    small, other = found["breakdown"]
    assert len(small["iterations"]) == 3
    assert other["iterations"] == []
    first, *_, last = other["motion"]
    assert (first["above"], first["up_to"], first["points"]) == (None, 0.5, 20)
    assert (last["above"], last["up_to"], last["average_jaccard"]) == (8, None, None)


def test_json_without_a_breakdown_has_none() -> None:
    rows = list(compare([still_source("a", 1)], [STAND_STILL], ["first"]))
    assert set(report.as_json(rows, means(rows))) == {"clips", "means"}
