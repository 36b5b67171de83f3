"""Train a TAPIR network on synthetic clips (paper sections 3.1 to 3.3 and 4)."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from models.checkpoints import read_state_dict
from models.tapir import CONFIGS, Tapir
from models.tapir.losses import sequence_loss
from pipelines.evaluation.benchmark import Metrics, TruthClip, evaluate
from pipelines.synthetic import TextureBank, make_clip
from pipelines.training.checkpoint import TrainState, load_state, save_state
from pipelines.training.config import TrainConfig
from pipelines.training.data import VALIDATION_SEED, Batch, batches
from pipelines.training.schedule import learning_rate

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"


class Trainer:
    """One process's training state: network, EMA of its weights, optimizer, step."""

    def __init__(self, config: TrainConfig, device: str = "cpu") -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = torch.device(device)
        architecture = dataclasses.replace(
            CONFIGS[config.model],
            initial_resolution=(config.size, config.size),
            num_iterations=config.num_iterations,
        )
        self.network = Tapir(architecture).to(self.device).channels_last()
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.step = 0

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One update; returns the figures to log."""
        config = self.config
        lr = learning_rate(self.step, config.learning_rate, config.warmup_steps, config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        video = batch.video.to(self.device, non_blocking=True).float() / 127.5 - 1
        queries = batch.queries.to(self.device)
        tracks, occluded = batch.tracks.to(self.device), batch.occluded.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
            _, iterates = self.network(video, queries)
        terms = sequence_loss(iterates, tracks, occluded, config.loss)
        loss = torch.stack([term.total for term in terms]).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self._update_ema()
        with torch.no_grad():
            error = (iterates[-1].tracks - tracks).norm(dim=-1)[~occluded]
        return {
            "step": self.step,
            "loss": loss.item(),
            "loss_initial": terms[0].total.item(),
            "loss_final": terms[-1].total.item(),
            "within_4px": (error < 4).float().mean().item(),
            "grad_norm": norm.item(),
            "lr": lr,
        }

    @torch.no_grad()
    def _update_ema(self) -> None:
        # A short memory at first, so that the average does not remember the random start.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            self.ema[name].lerp_(value, 1 - decay)

    def state(self) -> TrainState:
        return TrainState(
            self.step, self.network.state_dict(), self.ema, self.optimizer.state_dict()
        )

    def restore(self, state: TrainState) -> None:
        self.network.load_state_dict(state.model)
        self.optimizer.load_state_dict(state.optimizer)
        self.ema = {k: v.to(self.device) for k, v in state.ema.items()}
        self.step = state.step

    def start_from(self, weights: dict[str, torch.Tensor]) -> None:
        """Begins a new schedule with the weights of another run or a published checkpoint."""
        self.network.load_state_dict(weights)
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def ema_network(self, size: int = 256) -> Tapir:
        """A copy with the averaged weights, for evaluation at ``size`` × ``size``."""
        architecture = dataclasses.replace(self.network.config, initial_resolution=(size, size))
        network = Tapir(architecture).to(self.device).channels_last()
        network.load_state_dict(self.ema)
        return network.eval()


@torch.inference_mode()
def validate(network: Tapir, clips: Iterable[TruthClip], bf16: bool = True) -> Metrics:
    """TAP-Vid metrics ("first" queries as given) of a network on clips with truth."""
    device = next(network.parameters()).device

    def track(video: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        frames = torch.from_numpy(video).to(device).float()[None] / 127.5 - 1
        points = torch.from_numpy(queries).to(device)[None]
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            final, _ = network(frames, points, query_chunk=64, frame_chunk=4)
        return final.tracks[0].cpu().numpy(), ~final.visible()[0].cpu().numpy()

    return evaluate(track, clips, "strided")


def validation_clips(config: TrainConfig, textures: TextureBank, size: int) -> list[TruthClip]:
    """Held-out clips: seeds never trained on, at 24 frames of ``size`` × ``size``."""
    settings = dataclasses.replace(config.clips(), num_frames=24, height=size, width=size)
    made = (
        make_clip(VALIDATION_SEED + index, settings, textures)
        for index in range(config.validation_clips)
    )
    return [TruthClip(c.video, c.queries, c.tracks, c.occluded) for c in made]


def train(
    config: TrainConfig,
    textures: TextureBank,
    held_out: TextureBank,
    folder: Path,
    *,
    start: Path | None = None,
    resume: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
    report: Callable[[dict[str, float]], None] | None = None,
) -> Trainer:
    """Run to ``config.steps``; checkpoints and a log (one JSON object a line) in ``folder``.

    A checkpoint in ``folder``, or else the one given as ``resume``, is continued from its step.
    ``start`` names weights to begin a new schedule with, where there is no checkpoint: any file
    that `models.checkpoints.read_state_dict` reads.

    Raises:
        ValueError: a checkpoint that is damaged or of another network, naming the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, device)
    checkpoint = folder / CHECKPOINT if (folder / CHECKPOINT).exists() else resume
    if checkpoint is not None:
        _restore(trainer, checkpoint)
    elif start is not None:
        trainer.start_from(read_state_dict(start))
    _forget_after(folder / LOG, trainer.step)
    checks = validation_clips(config, held_out, config.size)
    stream = batches(
        config.clips(),
        textures,
        batch_size=config.batch_size,
        first_step=trainer.step,
        steps=config.steps,
        seed=config.seed,
        workers=workers,
    )
    with (folder / LOG).open("a") as log:
        began = time.perf_counter()
        for batch in stream:
            figures = trainer.train_step(batch)
            figures["seconds"] = time.perf_counter() - began
            if trainer.step % config.validate_every == 0 or trainer.step == config.steps:
                metrics = validate(trainer.ema_network(config.size), checks, config.bf16)
                figures |= {
                    "val_aj": metrics.average_jaccard,
                    "val_delta": metrics.average_pts_within,
                    "val_oa": metrics.occlusion_accuracy,
                }
            log.write(json.dumps(figures) + "\n")
            log.flush()
            if trainer.step % config.checkpoint_every == 0 or trainer.step == config.steps:
                save_state(folder / CHECKPOINT, trainer.state())
            if report is not None:
                report(figures)
            began = time.perf_counter()
    return trainer


def _restore(trainer: Trainer, path: Path) -> None:
    state = load_state(path)
    try:
        trainer.restore(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path} is a checkpoint of another network than {trainer.config.model}: train into "
            "another folder, or with its configuration"
        ) from error


def _forget_after(log: Path, step: int) -> None:
    """Drops the lines of steps that a stopped run had done after its last checkpoint."""
    if not log.exists():
        return
    kept = [line for line in log.read_text().splitlines() if _step_of(line) <= step]
    temporary = log.with_suffix(".tmp")
    temporary.write_text("".join(f"{line}\n" for line in kept))
    temporary.replace(log)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # the line that a kill cut off
