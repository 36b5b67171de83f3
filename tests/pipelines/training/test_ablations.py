"""The paper's ablations: configurations that differ in one thing, runs, scores, tables."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from models.checkpoints import load_network
from pipelines.training import ablations
from pipelines.training.ablations import (
    CONFIGS,
    FULL,
    NAMES,
    WEIGHTS,
    Result,
    ablation_config,
    evaluate_ablation,
    held_out_clips,
    markdown,
    train_ablation,
)
from pipelines.training.config import TrainConfig
from pipelines.training.log import Figures, read_log
from tests.pipelines.training.training_makers import textures

LACKS = {
    "full": {},
    "no-depthwise-conv": {"mixer_window": 8},
    "no-uncertainty": {"uncertainty": False},
    "no-highres": {"highres": False},
    "no-initialisation": {"initialisation": False},
    "no-refinement": {"num_iterations": 0},
    "tap-net": {"num_iterations": 0, "uncertainty": False},
    "chain-free-pips": {"mixer_window": 8, "initialisation": False, "uncertainty": False},
    "simple-combination": {"mixer_window": 8, "uncertainty": False},
    "no-matching": {},
}


def small(name: str) -> TrainConfig:
    """Two steps of one tiny clip; 10 frames are more than a window."""
    return dataclasses.replace(
        ablation_config(name, steps=2),
        **{"size": 32, "num_frames": 10, "num_queries": 4, "batch_size": 1},
        **{"validation_clips": 1, "warmup_steps": 1},
    )


def test_every_row_has_its_file() -> None:
    assert {path.stem for path in CONFIGS.glob("*.toml")} == set(NAMES) == set(LACKS)


@pytest.mark.parametrize("name", LACKS)
def test_configurations_differ_in_what_they_lack_alone(name: str) -> None:
    full, config = ablation_config(FULL), ablation_config(name)
    points = full.matching_points
    alike = dataclasses.replace(config, network=full.network, matching_points=points)
    assert alike == full
    assert (config.matching_points == 0) == (name == "no-matching")
    expected = dataclasses.replace(
        full.architecture(), name=config.architecture().name, **LACKS[name]
    )
    assert config.architecture() == config.trained_architecture() == expected
    assert len({ablation_config(other).architecture().name for other in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", LACKS)
def test_every_configuration_trains_and_its_weights_are_a_tracker(
    tmp_path: Path, name: str
) -> None:
    config, bank = small(name), textures()
    train_ablation(config, bank, bank, tmp_path, workers=0)
    log = read_log(tmp_path)
    assert [figures["step"] for figures in log] == [1, 2]
    assert all(math.isfinite(figures["loss"]) for figures in log)
    network, _ = load_network(checkpoint=tmp_path / WEIGHTS)
    assert network.config == config.architecture()
    (clip,) = held_out_clips(config, bank, 1)
    assert clip.video.shape == (24, 32, 32, 3)
    result = evaluate_ablation(tmp_path, [clip], more_iterations=name == FULL)
    assert len(result.scores) == (7 if name == FULL else 1 + network.config.num_iterations)
    assert (result.scores >= 0).all()
    assert (result.scores <= 1).all()


def test_a_run_goes_on_and_one_that_is_done_is_left_alone(tmp_path: Path) -> None:
    config, bank = small(FULL), textures()
    steps: list[float] = []

    def interrupted(figures: Figures) -> None:
        steps.append(figures["step"])
        if figures["step"] == 1:
            raise KeyboardInterrupt

    often = dataclasses.replace(config, checkpoint_every=1)
    for _ in range(2):
        try:
            train_ablation(often, bank, bank, tmp_path, workers=0, report=interrupted)
        except KeyboardInterrupt:
            assert not (tmp_path / WEIGHTS).exists()
    assert steps == [1, 2]
    before = (tmp_path / WEIGHTS).stat().st_mtime_ns
    train_ablation(often, bank, bank, tmp_path, workers=0, report=interrupted)
    assert steps == [1, 2]
    assert (tmp_path / WEIGHTS).stat().st_mtime_ns == before
    other = dataclasses.replace(often, steps=3, seed=1)
    with pytest.raises(ValueError, match=r"settings \(steps, seed\): remove it") as caught:
        train_ablation(other, bank, bank, tmp_path, workers=0)
    assert str(tmp_path) in str(caught.value)


def test_scores_are_kept_while_weights_and_clips_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, bank = small("tap-net"), textures()
    train_ablation(config, bank, bank, tmp_path, workers=0)
    clips = held_out_clips(config, bank, 2)
    first = evaluate_ablation(tmp_path, clips)
    scored: list[object] = []
    score = ablations.score_tracks
    monkeypatch.setattr(
        ablations, "score_tracks", lambda *args: (scored.append(args), score(*args))[1]
    )
    np.testing.assert_array_equal(evaluate_ablation(tmp_path, clips).scores, first.scores)
    assert not scored
    assert evaluate_ablation(tmp_path, clips[:1]).scores.shape == (1, 1, 3)
    assert len(scored) == 1
    # Other weights in the same place.
    (tmp_path / WEIGHTS).unlink()
    (tmp_path / "checkpoint.pt").unlink()
    (tmp_path / "settings.json").unlink()
    train_ablation(dataclasses.replace(config, seed=1), bank, bank, tmp_path, workers=0)
    evaluate_ablation(tmp_path, clips[:1])
    assert len(scored) == 2


def test_refining_more_begins_as_refining_less(tmp_path: Path) -> None:
    config, bank = small(FULL), textures()
    train_ablation(config, bank, bank, tmp_path, workers=0)
    clips = held_out_clips(config, bank, 1)
    four = evaluate_ablation(tmp_path, clips)
    six = evaluate_ablation(tmp_path, clips, more_iterations=True)
    assert four.iterations == six.iterations == 4
    np.testing.assert_allclose(six.scores[:5], four.scores, atol=1e-6)


def result(iterations: int, *aj: list[float]) -> Result:
    """A result of which every clip has its own AJ after each number of refinements."""
    scores = [[[value, 2 * value, 0.9] for value in clips] for clips in aj]
    return Result("digest", iterations, np.array(scores))


def test_tables() -> None:
    """Differences to the full model: of 10 and 20 points, 15 on average, 5 of standard error."""
    full = result(1, [0.1, 0.2], [0.4, 0.5], *[[0.3, 0.3]] * 5)
    text = markdown({FULL: full, "no-highres": result(1, [0.0, 0.0], [0.3, 0.3])})
    lines = text.splitlines()
    assert "| Full Model | 45.0 |  | 90.0 | 90.0 | 84.7 |" in lines
    assert "| - No Higher Res Feature | 30.0 | -15.0 ± 5.0 | 60.0 | 90.0 | 80.4 |" in lines
    assert "| 0 iterations | 15.0 | -30.0 ± 0.0 | 30.0 | 90.0 | 64.9 |" in lines
    assert "| 1 iteration | 45.0 |  | 90.0 | 90.0 | 80.1 |" in lines
    assert "TAP-Net |" not in text
    assert sum(line.startswith("**Table") for line in lines) == 3
    beyond = markdown({FULL: full, "no-matching": result(1, [0.0, 0.0], [0.3, 0.5])})
    assert "| - No Dense Matching Loss | 40.0 | -5.0 ± 5.0 | 80.0 | 90.0 |  |" in beyond
    assert markdown({}) == ""


def test_a_clip_without_a_score_counts_for_nothing() -> None:
    full = result(0, [0.5, float("nan"), 0.7], *[[0.1, 0.1, 0.1]] * 6)
    other = result(0, [0.4, 0.9, 0.6])
    text = markdown({FULL: full, "no-refinement": other})
    assert "| Full Model | 60.0 |" in text
    assert "| - No Iterative Refinement | 63.3 | -10.0 ± 0.0 |" in text


def test_results_survive_as_json() -> None:
    before = result(1, [0.25, float("nan")], [0.5, 0.75])
    text = json.dumps(before.to_json(), allow_nan=False)
    after = Result.from_json(json.loads(text))
    np.testing.assert_array_equal(after.scores, before.scores)
    assert (after.weights_digest, after.iterations) == ("digest", 1)
    assert json.loads(text)["means"][1] == {"aj": 0.625, "delta": 1.25, "oa": 0.9}
