"""Where the trackers' time went, against sums made by hand."""

from __future__ import annotations

import pytest

from pipelines.extract.accounting import speed_of_light, waited


def test_waiting_before_a_batch_has_three_reasons_in_a_row() -> None:
    # Free since 10, decoding from 12 to 15, started at 16.
    assert waited(10.0, 16.0, [(12.0, 14.0), (13.0, 15.0)]) == {
        "input": 2.0,
        "decode": 3.0,
        "transfer": 1.0,
    }


@pytest.mark.parametrize(
    "free,started,decoding,reasons",
    [
        (10.0, 11.0, [(2.0, 3.0)], (0.0, 0.0, 1.0)),  # decoded long before
        (10.0, 11.0, [(9.0, 12.0)], (0.0, 1.0, 0.0)),  # a clock that goes ahead
        (10.0, 11.0, [(12.0, 13.0)], (1.0, 0.0, 0.0)),
    ],
)
def test_what_lies_outside_of_the_wait_is_not_counted(
    free: float, started: float, decoding: list[tuple[float, float]], reasons: tuple[float, ...]
) -> None:
    assert tuple(waited(free, started, decoding).values()) == reasons


def test_the_first_batch_and_no_wait_at_all_are_nobodys() -> None:
    assert waited(None, 5.0, [(1.0, 2.0)]) == {}
    assert waited(5.0, 5.0, [(1.0, 2.0)]) == {}
    assert waited(4.0, 5.0, []) == {}


def test_losses_and_ratio_add_up_to_one() -> None:
    # 2 actors, 50 s: 100 s of room. 80 s of tracking made 8000 tracks; alone it is 125 tracks/s,
    # so 64 s would have done.
    light = speed_of_light(8000, 2, 50.0, 80.0, {"input": 3, "transfer": 1}, 2.0, bare=125.0)
    assert light is not None
    assert light.alone
    assert light.ratio == pytest.approx(0.64)
    assert light.achieved == pytest.approx(160.0)
    assert light.bare == pytest.approx(250.0)
    assert light.losses == pytest.approx(
        {
            "waiting for input": 0.03,
            "decode": 0.0,
            "transfer": 0.01,
            "encode": 0.0,
            "write": 0.04,
            "slower tracking": 0.16,
            "start and end": 0.12,
        }
    )
    assert light.ratio + sum(light.losses.values()) == pytest.approx(1.0)
    speed, rest = light.lines()
    assert speed == ("speed", "0.64 of the bare tracker: 160 of 250 tracks/s (measured alone)")
    assert "write 4.0%" in rest[1]


def test_without_a_bare_rate_the_runs_own_calls_are_the_yardstick() -> None:
    light = speed_of_light(100, 1, 10.0, 8.0, {}, 0.0)
    assert light is not None
    assert light.ratio == pytest.approx(0.8)
    assert "slower tracking" not in light.losses
    assert "as in its own calls" in light.lines()[0][1]


def test_nothing_tracked_is_no_speed() -> None:
    assert speed_of_light(0, 1, 10.0, 8.0, {}, 0.0) is None
    assert speed_of_light(10, 1, 0.0, 8.0, {}, 0.0) is None
