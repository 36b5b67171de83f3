"""The estimate against closed forms, and against runs that were made up."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.extract import SettingsError
from pipelines.extract.estimate import (
    Prices,
    Quantity,
    Room,
    Sample,
    compare_rows,
    estimate,
    estimate_from_json,
    estimate_rows,
    mean_of,
    spread_text,
)

PRICES = Prices(currency="EUR", gpu_hour=0.36, cpu_hour=0.036, gb_month=0.02)


def sample(**values: object) -> Sample:
    base: dict[str, object] = {
        "videos": 100,
        "clips": (8, 12),
        "plan_seconds": (1.0, 1.0),
        "failed": 0,
        "decode_seconds": (0.5, 0.5),
        "track_seconds": (3.0, 5.0),
        "encode_seconds": (0.1, 0.1),
        "clip_bytes": (1e6, 1e6),
        "tracks": 4096,
        "start_seconds": 10.0,
    }
    return Sample(**(base | values))  # type: ignore[arg-type]


def test_closed_form_on_gpus() -> None:
    made = estimate(sample(), Room(actors=4, cpus=16, gpus=4), PRICES)
    # 100 videos of 10 clips; s = 2.828, of n = 2 in N = 100.
    clips_sd = 100 * statistics.stdev((8, 12)) / math.sqrt(2) * math.sqrt(0.98)
    assert made.clips.value == 1000
    assert made.clips.deviation == pytest.approx(clips_sd)
    # 4 s a clip on 4 trackers; planning and decoding (600 s on 16 CPUs) go on beside them.
    assert made.wall_seconds.value == pytest.approx(1000 * 4 / 4 + 10)
    track = statistics.stdev((3.0, 5.0)) / math.sqrt(2) * math.sqrt(1 - 2 / 1000) / 4
    relative = math.hypot(clips_sd / 1000, track)
    assert made.wall_seconds.deviation == pytest.approx(1000 * relative)
    assert made.gpu_hours.value == pytest.approx(4 * 1010 / 3600)
    assert made.cpu_hours.value == pytest.approx(16 * 1010 / 3600)
    assert made.money.value == pytest.approx((4 * 0.36 + 16 * 0.036) * 1010 / 3600)
    assert made.bytes.value == 1e9
    assert made.money_month.value == pytest.approx(0.02)
    assert made.tracks_per_second == pytest.approx(4096 / 4)


def test_gpus_wait_for_cpus_that_cannot_keep_up() -> None:
    made = estimate(sample(), Room(actors=8, cpus=1, gpus=8), PRICES)
    assert made.wall_seconds.value == pytest.approx(1000 * 0.5 + 100 * 1.0 + 10)


def test_without_gpus_everything_shares_the_cpus() -> None:
    made = estimate(sample(), Room(actors=1, cpus=2, gpus=0), PRICES)
    assert made.wall_seconds.value == pytest.approx(4000 + (500 + 100) / 2 + 10)
    assert made.gpu_hours.value == 0


def test_a_sample_of_everything_leaves_no_doubt_of_the_clips() -> None:
    made = estimate(sample(videos=2), Room(1, 2, 0), PRICES)
    assert made.clips == Quantity(20.0, 0.0)


def test_a_sample_of_one_does_not_pretend_to_know_its_spread() -> None:
    made = estimate(sample(clips=(8,), plan_seconds=(1.0,)), Room(1, 2, 0), PRICES)
    assert made.clips == Quantity(800.0, None)
    assert made.wall_seconds.deviation is None
    assert "spread unknown" in dict(estimate_rows(made))["time"]


def test_bad_videos_are_a_share_of_the_sample() -> None:
    made = estimate(sample(clips=(8, 12, 0, 0), failed=1, videos=400), Room(1, 2, 0), PRICES)
    assert made.failed_videos.value == 100
    assert made.failed_videos.deviation == pytest.approx(
        400 * math.sqrt(0.25 * 0.75 / 4 * (1 - 4 / 400))
    )


def test_the_spread_holds_the_truth_as_often_as_it_says() -> None:
    """Two standard deviations of a made-up archive: 19 of 20 times, give or take."""
    rng = random.Random(7)
    archive = [rng.randint(1, 19) for _ in range(500)]
    inside = 0
    for _ in range(400):
        made = mean_of(rng.sample(archive, 40), len(archive)).scaled(len(archive))
        assert made.deviation is not None
        inside += abs(made.value - sum(archive)) <= 2 * made.deviation
    assert 0.91 <= inside / 400 <= 0.99


@given(
    st.floats(0.1, 1e6), st.floats(0, 1e3), st.floats(0.1, 1e6), st.floats(0, 1e3), st.floats(0, 9)
)
def test_quantities_add_and_multiply_as_independent_ones(
    a: float, sa: float, b: float, sb: float, factor: float
) -> None:
    one, two = Quantity(a, sa), Quantity(b, sb)
    assert one.plus(two).deviation == pytest.approx(math.hypot(sa, sb))
    product = one.times(two)
    assert product.relative == pytest.approx(math.hypot(sa / a, sb / b))
    assert one.scaled(factor).deviation == pytest.approx(factor * sa)
    assert one.times(Quantity(b)).deviation is None
    assert Quantity(0.0, 1.0).times(two).value == 0.0


def test_kept_and_read_again() -> None:
    made = estimate(sample(), Room(4, 16, 4), PRICES)
    assert estimate_from_json(made.to_json(), "x") == made
    for text in (b"", b"{}", b"[]", b'{"version": 1}'):
        with pytest.raises(SettingsError, match="x is no estimate"):
            estimate_from_json(text, "x")
    with pytest.raises(SettingsError, match="another release"):
        estimate_from_json(b'{"version": 2}', "x")


def test_compared_with_an_outcome() -> None:
    made = estimate(sample(), Room(4, 16, 4), PRICES)
    rows = compare_rows(made, {"clips": 990, "wall_seconds": 2020.0, "bytes": 2e9})
    assert [row[:2] for row in rows] == [
        ("clips", "990"),
        ("time", "33:40"),
        ("money", "1.13 EUR"),  # twice as long as expected, twice the money
        ("output", "2.0 GB"),
    ]
    assert rows[2][2].startswith("0.57 (")
    # A run that did a quarter, since the rest was there.
    (clips, *_) = compare_rows(made, {"clips": 250, "share": 0.25})
    assert clips[2].startswith("250 (")


def test_words() -> None:
    assert spread_text(Quantity(10.0, 2.0), str) == "10.0 (6.0 to 14.0)"
    assert spread_text(Quantity(1.0, 2.0), str) == "1.0 (0.0 to 5.0)"
    assert spread_text(Quantity(10.0, 0.0), str) == "10.0"
    rows = dict(estimate_rows(estimate(sample(), Room(4, 16, 4), Prices())))
    assert "money" not in rows
    assert "GPU-hours" in rows


def test_prices_are_not_negative() -> None:
    with pytest.raises(SettingsError, match=r"prices\.cpu_hour is -1"):
        Prices(cpu_hour=-1)
