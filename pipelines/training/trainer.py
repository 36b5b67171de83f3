"""The state of a training run in one process, and its step."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from models.checkpoints import load_network
from models.checkpoints.infer import check_shapes
from models.tapir import Estimate, Tapir
from models.tapir.features import FeatureGrids
from pipelines.training.checkpoint import TrainState
from pipelines.training.config import TrainConfig
from pipelines.training.data import Batch, ViewBatch
from pipelines.training.log import Figures
from pipelines.training.objective import feature_loss, step_losses
from pipelines.training.ranks import Ranks
from pipelines.training.schedule import learning_rate
from pipelines.training.teacher import pseudo_truth


class Trainer:
    """Network, average of its weights (EMA), optimizer, step.

    Args:
        teacher: weight file of the network that tracks real clips; by default the averaged
            weights as they are at each step.
        ranks: the processes that take every step together, with parts of the same batch.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: str = "cpu",
        *,
        teacher: Path | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = torch.device(device)
        self.ranks = ranks or Ranks()
        self.network = Tapir(config.trained_architecture()).to(self.device).channels_last()
        self._forward = torch.compile(self._estimate) if config.compile else self._estimate
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.step = 0
        self._teacher: Tapir | None = None
        self._averaged_teacher = teacher is None
        if teacher is not None:
            self._teacher = self._frozen(load_network(checkpoint=teacher)[0])

    def train_step(self, batch: Batch | ViewBatch) -> Figures:
        """One update; returns the figures to log, over the batch parts of all ranks."""
        config = self.config
        lr = learning_rate(self.step, config.learning_rate, config.warmup_steps, config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        known = self._with_truth(batch)
        video = known.video.float() / 127.5 - 1
        tracked = known.first(config.num_queries)
        with self._autocast():
            iterates, grids = self._forward(video, tracked.queries)
            matching = feature_loss(grids, known) if config.matching_points else None
        terms = step_losses(iterates, tracked, config.loss, config.real_weight)
        loss = torch.stack([term.total for term in terms]).mean()
        self.optimizer.zero_grad(set_to_none=True)
        (loss if matching is None else loss + config.loss.matching_weight * matching).backward()
        self.ranks.average_gradients(self.network.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self._update_ema()
        figures = self._figures(loss, terms[0].total, terms[-1].total, iterates[-1], tracked)
        if matching is not None:
            figures["loss_matching"] = self.ranks.total([matching])[0] / self.ranks.world
        return figures | {"grad_norm": norm.item(), "lr": lr}

    def _estimate(
        self, video: torch.Tensor, queries: torch.Tensor
    ) -> tuple[list[Estimate], FeatureGrids]:
        """What the network's forward gives at the size of training clips, and its features."""
        grids = self.network.feature_grids(video, [self.network.config.initial_resolution])
        features = self.network.query_features(grids, queries)
        return self.network.estimate(grids, features, queries), grids[0]

    @torch.no_grad()
    def _figures(
        self,
        loss: torch.Tensor,
        initial: torch.Tensor,
        final: torch.Tensor,
        estimate: Estimate,
        batch: Batch,
    ) -> Figures:
        scored = ~batch.occluded if batch.counted is None else ~batch.occluded & batch.counted
        error = (estimate.tracks - batch.tracks).norm(dim=-1)
        near = ((error < 4) & scored).sum()
        counted = batch.occluded.numel() if batch.counted is None else batch.counted.sum()
        totals = self.ranks.total(
            [loss, initial, final, near, scored.sum(), torch.as_tensor(counted, device=loss.device)]
        )
        world, points = self.ranks.world, self.ranks.world * batch.occluded.numel()
        figures = {
            "step": self.step,
            "loss": totals[0] / world,
            "loss_initial": totals[1] / world,
            "loss_final": totals[2] / world,
            "within_4px": totals[3] / max(1.0, totals[4]),
        }
        if batch.counted is not None:
            figures["real"] = totals[5] / points
        return figures

    def _with_truth(self, batch: Batch | ViewBatch) -> Batch:
        moved = batch.to(self.device)
        if isinstance(moved, Batch):
            return moved
        if self._averaged_teacher:
            if self._teacher is None:
                self._teacher = self._frozen(self.ema_network(self.config.real.clean_size))
            self._teacher.load_state_dict(self.ema)
        return pseudo_truth(self.teach, moved, self.config.real)

    @torch.no_grad()
    def teach(self, video: torch.Tensor, queries: torch.Tensor) -> Estimate:
        """The teacher's tracks of the points `queries` of uint8 `video`."""
        assert self._teacher is not None
        with self._autocast():
            return self._teacher(video.float() / 127.5 - 1, queries)[0]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16)

    def _frozen(self, network: Tapir) -> Tapir:
        return network.to(self.device).channels_last().eval().requires_grad_(False)

    @torch.no_grad()
    def _update_ema(self) -> None:
        # A short memory at first, so that the average does not remember the random start.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        weights = self.network.state_dict()
        averages = [self.ema[name] for name in weights]
        torch._foreach_lerp_(averages, list(weights.values()), 1 - decay)

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
        """Begins a new schedule with the weights of another run or a published checkpoint.

        Raises models.CheckpointError where they are those of another network.
        """
        check_shapes(weights, self.network.config)
        self.network.load_state_dict(weights)
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def ema_network(self, size: int = 256) -> Tapir:
        """A copy with the averaged weights, for evaluation at ``size`` × ``size``."""
        architecture = dataclasses.replace(self.network.config, initial_resolution=(size, size))
        network = Tapir(architecture).to(self.device).channels_last()
        network.load_state_dict(self.ema)
        return network.eval()
