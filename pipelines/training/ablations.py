"""The paper's ablations (Tables 4 to 6) as configurations of one network, trained alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models import Tracker
from models.checkpoints import load_network, save_checkpoint
from pipelines.evaluation.benchmark import TruthClip, score_tracks
from pipelines.evaluation.methods import network_method
from pipelines.evaluation.report import finite
from pipelines.evaluation.sources import synthetic_source
from pipelines.synthetic import TextureBank
from pipelines.training.config import TrainConfig, load_config
from pipelines.training.log import Figures
from pipelines.training.tracker import train

if TYPE_CHECKING:
    from jaxtyping import Float

CONFIGS = Path(__file__).parent / "configs" / "ablations"
WEIGHTS = "tracker.safetensors"
FULL = "full"
MOST_ITERATIONS = 6
CLIP_FRAMES = 24


@dataclass(frozen=True)
class Row:
    """One row of a table, of the paper or beyond it."""

    label: str
    name: str
    """The configuration: a file of `CONFIGS` without its ending."""
    paper: float | None
    """Average Jaccard on the paper's synthetic clips (Kubric), in percent; None: not in it."""
    iterations: int | None = None
    """Refinements in evaluation; None: as many as in training."""


_KUBRIC_BY_ITERATIONS = (64.9, 80.1, 83.1, 84.1, 84.7, 84.3, 82.9)
TABLES: dict[str, tuple[Row, ...]] = {
    "Table 4: the parts that TAPIR was made of": (
        Row("TAP-Net", "tap-net", 65.4),
        Row("Chain-Free PIPs", "chain-free-pips", 75.3),
        Row("Simple Combination", "simple-combination", 78.1),
        Row("TAPIR", FULL, 84.7),
    ),
    "Table 5: one part taken away": (
        Row("Full Model", FULL, 84.7),
        Row("- No Depthwise Conv", "no-depthwise-conv", 79.7),
        Row("- No Uncertainty Estimate", "no-uncertainty", 83.4),
        Row("- No Higher Res Feature", "no-highres", 80.4),
        Row("- No TAP-Net Initialization", "no-initialisation", 84.1),
        Row("- No Iterative Refinement", "no-refinement", 64.9),
    ),
    "Table 6: refinements of the full model": tuple(
        Row(f"{count} iteration{'s' * (count != 1)}", FULL, paper, count)
        for count, paper in enumerate(_KUBRIC_BY_ITERATIONS)
    ),
    "Beyond the paper": (
        Row("Full Model", FULL, 84.7),
        Row("- No Dense Matching Loss", "no-matching", None),
    ),
}
NAMES = tuple(dict.fromkeys(row.name for rows in TABLES.values() for row in rows))


@dataclass(frozen=True, eq=False)
class Result:
    """Scores of one trained configuration, in [0, 1]; NaN where a clip has nothing to score."""

    weights_digest: str
    iterations: int
    """Refinements in training."""
    scores: Float[np.ndarray, "iterations clips 3"]
    """AJ, δ_avg and OA of the initialisation, then of each iteration."""

    def to_json(self) -> dict[str, Any]:
        """With the means over clips, for reading."""
        return {
            "weights_digest": self.weights_digest,
            "iterations": self.iterations,
            "means": [
                dict(zip(("aj", "delta", "oa"), map(float, mean), strict=True))
                for mean in np.nanmean(self.scores, axis=1)
            ],
            "scores": [[[finite(float(v)) for v in clip] for clip in step] for step in self.scores],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Result:
        scores = np.array(values["scores"], np.float64)  # None becomes NaN
        return cls(values["weights_digest"], values["iterations"], scores)


def ablation_config(name: str, steps: int | None = None) -> TrainConfig:
    """The training settings of one configuration; `steps` replaces their number."""
    config = load_config(CONFIGS / f"{name}.toml")
    return config if steps is None else replace(config, steps=steps)


def train_ablation(
    config: TrainConfig,
    textures: TextureBank,
    held_out: TextureBank,
    folder: Path,
    *,
    device: str = "cpu",
    workers: int = 1,
    report: Callable[[Figures], None] | None = None,
) -> None:
    """Train, or go on with, one configuration; its weights are `folder` / `WEIGHTS`.

    One that is done is left alone. Raises ValueError where `folder` holds a run with other
    settings.
    """
    weights = folder / WEIGHTS
    _keep_settings(folder / "settings.json", asdict(config))
    if not weights.exists():
        trainer = train(
            config, textures, held_out, folder, device=device, workers=workers, report=report
        )
        save_checkpoint(weights, trainer.ema, config.architecture())


def held_out_clips(config: TrainConfig, held_out: TextureBank, count: int) -> list[TruthClip]:
    """Clips of the training's size, of 24 frames, from seeds and textures never trained on."""
    settings = replace(config.clips(), num_frames=CLIP_FRAMES)
    source = synthetic_source(held_out, count, settings)
    return [asked["strided"] for asked in source.clips(["strided"])]


def evaluate_ablation(
    folder: Path, clips: Sequence[TruthClip], *, more_iterations: bool = False, device: str = "cpu"
) -> Result:
    """Score the trained configuration in `folder` ("strided"), in float32.

    With `more_iterations` it refines up to six times, however often it did in training. Scores are
    kept in the folder and read from there while weights and number of clips are the same.
    """
    network, digest = load_network(checkpoint=folder / WEIGHTS)
    trained = network.config.num_iterations
    refined = MOST_ITERATIONS if more_iterations else trained
    kept = folder / "scores.json"
    if kept.exists():
        result = Result.from_json(json.loads(kept.read_text()))
        same = result.scores.shape[:2] == (refined + 1, len(clips))
        if same and result.weights_digest == digest:
            return result
    tracker = Tracker(network, device=device, dtype="float32").with_iterations(refined)
    iterates = network_method("", tracker).iterates
    assert iterates is not None
    scores = []
    for clip in clips:
        _, steps = iterates(clip.video, clip.queries)
        found = [score_tracks(clip, step, "strided") for step in steps]
        scores.append(
            [
                (s.average_jaccard[0], s.average_pts_within[0], s.occlusion_accuracy[0])
                for s in found
            ]
        )
    result = Result(digest, trained, np.array(scores, np.float64).swapaxes(0, 1))
    kept.write_text(json.dumps(result.to_json()))
    return result


def markdown(results: Mapping[str, Result]) -> str:
    """The paper's tables from the configurations that there are results of, in percent.

    Beside each AJ stands the difference to the full model with its standard error over the clips.
    """
    lines: list[str] = []
    for title, rows in TABLES.items():
        present = [row for row in rows if row.name in results]
        if not present:
            continue
        lines += [
            f"**{title}**",
            "",
            "| | AJ | to full | δ avg | OA | AJ in the paper |",
            "|---|---|---|---|---|---|",
            *(_line(row, results) for row in present),
            "",
        ]
    return "\n".join(lines)


def _line(row: Row, results: Mapping[str, Result]) -> str:
    result = results[row.name]
    iterations = result.iterations if row.iterations is None else row.iterations
    scores = result.scores[iterations]
    aj, delta, oa = 100 * np.nanmean(scores, axis=0)
    difference = ""
    full = results.get(FULL)
    if full is not None and (row.name, iterations) != (FULL, full.iterations):
        apart = 100 * (scores[:, 0] - full.scores[full.iterations, :, 0])
        apart = apart[~np.isnan(apart)]
        difference = f"{apart.mean():+.1f}"
        if len(apart) > 1:
            difference += f" ± {apart.std(ddof=1) / len(apart) ** 0.5:.1f}"
    paper = "" if row.paper is None else row.paper
    return f"| {row.label} | {aj:.1f} | {difference} | {delta:.1f} | {oa:.1f} | {paper} |"


def _keep_settings(path: Path, settings: dict[str, Any]) -> None:
    """Writes the settings, or checks that they are those of the run that is there."""
    text = json.dumps(settings, indent=1)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return
    before, now = json.loads(path.read_text()), json.loads(text)
    if before != now:
        changed = [key for key in now if before.get(key) != now[key]]
        raise ValueError(
            f"{path.parent} holds a run with other settings ({', '.join(changed)}): remove it, or "
            "write into another folder"
        )
