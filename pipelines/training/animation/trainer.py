"""The state of a training run in one process, and its step."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pipelines.training.animation.config import OptimConfig
from pipelines.training.animation.loader import Batch
from pipelines.training.checkpoint import TrainState
from pipelines.training.log import Figures
from pipelines.training.ranks import Ranks
from pipelines.training.schedule import learning_rate

_STREAMS = 2**31  # seeds of one run: a step and a rank each


class Objective(Protocol):
    """What a model is trained for. All that is random in it is drawn from torch's own generator."""

    model: Any
    """A diffusers model."""
    scheduler: Any
    """The noise that it is trained with, as diffusers' scheduler."""

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to log, among them the "loss" that is minimised; means over the batch."""


class Trainer:
    """A model, the average of its weights (EMA), optimizer and step.

    What a step draws at random follows from the seed, the step and the rank alone: a run that goes
    on from a checkpoint takes the same steps as one that was not interrupted.
    """

    def __init__(
        self,
        objective: Objective,
        config: OptimConfig,
        device: str | torch.device = "cpu",
        ranks: Ranks | None = None,
    ) -> None:
        self.objective, self.config = objective, config
        self.device = torch.device(device)
        self.ranks = ranks or Ranks()
        self.model = objective.model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.step = 0

    def train_step(self, batch: Batch) -> Figures:
        """One update with this rank's part of a batch; returns figures over all ranks."""
        config, ranks = self.config, self.ranks
        torch.manual_seed(_seed(config.seed, self.step * ranks.world + ranks.rank))
        lr = learning_rate(self.step, config.learning_rate, config.warmup_steps, config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.model.train()
        terms = self._terms(batch)
        self.optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        ranks.average_gradients(self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self._update_ema()
        totals = ranks.total(list(terms.values()))
        means = {name: total / ranks.world for name, total in zip(terms, totals, strict=True)}
        return {"step": self.step, **means, "grad_norm": norm.item(), "lr": lr}

    @torch.no_grad()
    def validate(self, batches: list[Batch]) -> Figures:
        """The same figures of held-out batches, with averaged weights and always the same noise."""
        weights = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.ema)
        self.model.eval()
        try:
            sums: Figures = {}
            for number, batch in enumerate(batches):
                torch.manual_seed(_seed(-1, number))
                for name, value in self._terms(batch).items():
                    sums[name] = sums.get(name, 0.0) + value.item() * len(batch.frames)
        finally:
            self.model.load_state_dict(weights)
        count = sum(len(batch.frames) for batch in batches)
        return {f"val_{name}": total / count for name, total in sums.items()}

    def ema_model(self) -> Any:
        """A copy with the averaged weights, for sampling and saving."""
        model = type(self.model).from_config(self.model.config)
        model.load_state_dict(self.ema)
        return model.to(self.device).eval()

    def ema_sampler(self) -> Any:
        """The same in the type that sampling runs in."""
        model = self.ema_model()
        # Not by the models' own `to`, which warns of every cast.
        return nn.Module.to(model, torch.bfloat16) if self.config.bf16 else model

    def state(self) -> TrainState:
        return TrainState(self.step, self.model.state_dict(), self.ema, self.optimizer.state_dict())

    def restore(self, state: TrainState) -> None:
        """Raises KeyError, RuntimeError or ValueError for the state of another model."""
        self.model.load_state_dict(state.model)
        self.optimizer.load_state_dict(state.optimizer)
        self.ema = {k: v.to(self.device) for k, v in state.ema.items()}
        self.step = state.step

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
            return self.objective(batch.to(self.device))

    @torch.no_grad()
    def _update_ema(self) -> None:
        # A short memory at first, so that the average does not remember the random start.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)


def _seed(run: int, number: int) -> int:
    return (run + 1) * _STREAMS + number


def parameter_count(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
