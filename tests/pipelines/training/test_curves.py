"""Curves: round ticks, averages in closed form, and lines where their values are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.cli import main
from pipelines.training.chart import COLOURS, Chart, Series, draw_charts, linear_ticks, log_ticks
from pipelines.training.curves import Run, draw_curves, smoothed, write_curves


def run_of(steps: int, name: str = "run", first: int = 1) -> Run:
    return Run(
        name,
        [
            {"step": step, "loss_initial": 8 / step, "loss_final": 4 / step, "lr": 1e-3}
            | ({"val_aj": 0.5, "val_delta": 0.6, "val_oa": 0.7} if step % 5 == 0 else {})
            for step in range(first, first + steps)
        ],
    )


def columns_of(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where the picture has about that colour."""
    near = np.abs(image.astype(int) - colour).max(-1) < 40
    return np.flatnonzero(near.any(0))


@pytest.mark.parametrize(
    "low,high,most,ticks",
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (0, 1600, 9, [0, 200, 400, 600, 800, 1000, 1200, 1400, 1600]),
        (-0.3, 0.3, 4, [-0.2, 0, 0.2]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, ticks: list[float]) -> None:
    assert linear_ticks(low, high, most) == pytest.approx(ticks)


def test_ticks_of_a_logarithmic_axis() -> None:
    assert log_ticks(0.5, 12) == pytest.approx([0.5, 1, 2, 5, 10])
    assert log_ticks(1e-6, 2) == pytest.approx([10.0**power for power in range(-6, 1)])


def test_smoothing_is_a_mean_of_the_values_around() -> None:
    values = np.array([0.0, 3.0, 6.0, 3.0, 0.0])
    np.testing.assert_allclose(smoothed(values, 3), [1.5, 3, 4, 3, 1.5])
    np.testing.assert_allclose(smoothed(values, 1), values)
    np.testing.assert_allclose(smoothed(np.full(9, 2.0), 100), 2.0)


def test_a_rising_line_rises() -> None:
    x = np.linspace(0, 10, 11)
    image = draw_charts([Chart("rise", [Series(x, x, COLOURS[0])], height=300)], "step")
    columns = columns_of(image, COLOURS[0])
    near = np.abs(image.astype(int) - COLOURS[0]).max(-1) < 40
    rows = [np.flatnonzero(near[:, column]).mean() for column in columns[[5, -5]]]
    assert columns[-1] - columns[0] > 0.85 * image.shape[1]
    assert rows[0] - rows[1] > 0.8 * 300


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show() -> None:
    x = np.arange(5.0)
    y = np.array([1.0, 0.0, -1.0, np.nan, 2.0])
    assert draw_charts([Chart("log", [Series(x, y, COLOURS[0])], logarithmic=True)], "").any()
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_charts([Chart("none", [])], "")


def test_stages_follow_each_other_and_overlaid_ones_do_not() -> None:
    stages = [run_of(30, "first"), run_of(10, "second")]
    in_turn, overlaid = draw_curves(stages), draw_curves(stages, overlay=True)
    assert in_turn.dtype == overlaid.dtype == np.uint8
    # The second run has the second colour; it ends a third of the way along the axis.
    columns = columns_of(overlaid[: overlaid.shape[0] // 4, :800], COLOURS[1])
    assert columns.max() < 0.45 * overlaid.shape[1]


def test_a_run_that_goes_on_begins_where_the_other_stopped() -> None:
    whole = draw_curves([run_of(40)])
    parts = draw_curves([run_of(20), run_of(20, first=21)])
    assert parts.shape == whole.shape
    again = draw_curves([run_of(20), run_of(20)])
    assert again.shape == whole.shape
    assert (again != parts).any()


def test_a_first_step_can_be_drawn_and_none_is_refused() -> None:
    assert draw_curves([run_of(1)]).ndim == 3
    with pytest.raises(ValueError, match="no training step"):
        draw_curves([Run("empty", [])])


def test_steps_on_real_clips_are_a_line_of_their_own() -> None:
    figures = [
        {**line, **({"real": 0.5} if line["step"] % 2 else {})} for line in run_of(9).figures
    ]
    steps, losses = Run("mixed", figures).losses("loss_final", real=True)
    np.testing.assert_array_equal(steps, [1, 3, 5, 7, 9])
    np.testing.assert_allclose(losses, 4 / steps)
    assert draw_curves([Run("mixed", figures)]).ndim == 3


def test_the_command_draws_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        lines = [json.dumps(line) for line in run_of(12).figures]
        (tmp_path / name / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 13, "lo')
    target = tmp_path / "curves.png"
    words = ["train", "curves", str(tmp_path / "one"), str(tmp_path / "two"), "-o", str(target)]
    for extra in ([], ["--overlay"]):
        target.unlink(missing_ok=True)
        with pytest.raises(SystemExit) as stopped:
            main([*words, *extra])
        assert stopped.value.code == 0, capsys.readouterr().err
        assert Image.open(target).size[0] > 800
    with pytest.raises(ValueError, match="no such log"):
        write_curves(target, [tmp_path])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "one", "two"]
