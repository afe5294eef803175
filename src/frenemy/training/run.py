"""Run: the state of a training and its passes over the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from frenemy.data.augment import augmented
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.models.norms import norm_parameters, norms
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.average import Average
from frenemy.training.checkpoint import part, write
from frenemy.training.engine import Engine
from frenemy.training.log import Logged
from frenemy.training.memory import Memory
from frenemy.training.optimiser import load_optimiser, optimiser, optimiser_state
from frenemy.training.pose import Pose
from frenemy.training.recipe import Recipe, Remembers
from frenemy.training.regime import Regime
from frenemy.training.step import Step
from frenemy.training.update import followed
from frenemy.training.watch import Check, check

__all__ = ["Run"]


@final
class Run:
    """A training under way: weights, optimiser, memory, average, position, log.

    Attributes:
        history: one entry an epoch.
        best_epoch: the epoch whose weights are chosen so far, from 1.
        held: the examples that are kept apart.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: nn.Module,
        examples: Examples,
        threat: Threat,
        regime: Regime,
        key: Key,
        where: Engine,
        file: Path | None,
        save_every: float,
    ) -> None:
        self._recipe, self._model, self._examples, self._threat = recipe, model, examples, threat
        self._regime, self._key, self._where, self._file, self._every = regime, key, where, file, save_every
        order = key.fold("hold out").permutation(len(examples))
        self._rows = order[: len(examples) - regime.hold_out]
        self.held = examples.take(order[len(examples) - regime.hold_out :])
        self._pose = Pose(model, regime.attack_mode, regime.attack_precision == "bfloat16")
        moved = norm_parameters(model) if regime.only == "norms" else model.parameters()
        self._optimiser = optimiser(regime, [p for p in moved if p.requires_grad])
        self._average = Average(model, regime.average, regime.decay, regime.average_from)
        self._memory = Memory(examples.index[self._rows], where.device)
        if isinstance(recipe, Remembers):
            recipe.remember(self._memory, examples, regime.batch_size)
        self._update = followed(recipe, regime)
        self.history: list[dict[str, Any]] = []
        self.best_epoch, self._best_value, self._best = 0, -1.0, dict[str, Tensor]()
        self._step, self._sums, self._done = 0, dict[str, float](), False
        self._spent = 0.0

    def chosen(self) -> dict[str, Tensor]:
        """The weights of the chosen epoch."""
        return self._best

    def train(self, told: Callable[[str, float], None], logged: Logged = lambda entry: None) -> None:
        """Train from where the run stands to its end."""
        epochs = self._regime.epochs
        while len(self.history) < epochs and not self._done:
            self._epoch(told)
            self._judge()
            self._save()
            entry = self.history[-1]
            logged(entry)
            robust = "" if entry["robust"] is None else f", robust {entry['robust']:.1%}"
            told(f"epoch {len(self.history)}{robust}", len(self.history) / epochs)

    def resume(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Take up what a checkpoint holds."""
        self._model.load_state_dict(part(tensors, "model"))
        load_optimiser(self._optimiser, part(tensors, "optimiser"))
        self._memory.load(part(tensors, "memory"))
        self._average.load(part(tensors, "average"))
        self._best = {name: value.to(self._where.device) for name, value in part(tensors, "best").items()}
        self.history, self._step, self._sums = state["history"], state["step"], state["sums"]
        self.best_epoch, self._best_value, self._done = state["best"], state["value"], state["done"]
        self._spent, self._memory.epoch = state["spent"], len(self.history)

    def _epoch(self, told: Callable[[str, float], None]) -> None:
        """Pass over the data once, from the step where the run stands."""
        regime, epoch = self._regime, len(self.history)
        self._memory.epoch = epoch
        shuffle = self._rows[self._key.fold("shuffle").fold(epoch).permutation(len(self._rows))]
        batches = self._batches(shuffle)
        began = saved = time.monotonic()
        spent = self._spent
        while self._step < len(batches):
            progress = (epoch + self._step / len(batches)) / regime.epochs
            middle = (epoch + (self._step + 0.5) / len(batches)) / regime.epochs
            for group in self._optimiser.param_groups:
                group["lr"] = regime.rate * regime.factor(middle)
            size = regime.grown(epoch + (self._step + 1) / len(batches))
            self._train_on(batches[self._step], epoch, size)
            self._step += 1
            ends = self._step == len(batches)
            self._average.after((epoch + self._step / len(batches)) / regime.epochs, ends)
            now = time.monotonic()
            self._spent = spent + now - began
            if not ends and now - saved > self._every and self._where.world == 1:
                self._save()
                saved = now
            told(f"epoch {epoch + 1}", progress)

    def _batches(self, order: Tensor) -> list[Tensor]:
        """The batches of an epoch; a last one that leaves a process a single row has no statistics for batch norm."""
        least = 2 * self._where.world if norms(self._model) else 1
        return [rows for rows in torch.split(order, self._regime.batch_size) if len(rows) >= least]

    def _train_on(self, rows: Tensor, epoch: int, size: float) -> None:
        key, where, regime = self._key, self._where, self._regime
        batch = self._examples.batch(where.mine(rows), where.device)
        if regime.augment != "none":
            low = float(torch.as_tensor(self._examples.low).min())
            x = augmented(batch.x, batch.index, key.fold("augment").fold(epoch), regime.augment, low)
            batch = Batch(x, batch.y, batch.index)
        threat = self._threat if size == 1 else self._threat.at(self._threat.eps * size)
        self._memory.step = self._step
        self._model.train()
        step = Step(
            self._recipe,
            self._model,
            self._optimiser,
            self._memory,
            batch,
            len(rows),
            threat,
            key.fold("attack").fold(epoch),
            self._pose,
            where,
        )
        with key.fold("dropout").fold(epoch).fold(self._step).fold(where.rank).borrowed(where.device):
            self._update(step)
        for name, value in {**step.losses, **{f"fact {n}": v for n, v in step.facts.items()}}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def _judge(self) -> None:
        """Close an epoch: agree, judge, choose, and begin the next."""
        where, regime, epoch = self._where, self._regime, len(self.history) + 1
        where.alike(self._model)
        for rows, touched in self._memory.changed().values():
            where.agree(rows, touched)
        sums = self._sums
        if where.world > 1:
            values = torch.tensor(list(sums.values()), dtype=torch.float64, device=where.device)
            sums = dict(zip(sums, where.summed(values).tolist(), strict=True))
        seen_rows = sum(map(len, self._batches(self._rows)))
        mean = {name: value / seen_rows for name, value in sums.items()}
        with self._average.instead():
            seen = self._check()
            value = {"last": None, "clean": seen and seen.clean, "robust": seen and seen.robust}[
                regime.select
            ]
            fell = self._fell(seen)
            if not fell and (value is None or value > self._best_value):
                self.best_epoch, self._best_value = epoch, -1.0 if value is None else value
                self._best = {name: one.detach().clone() for name, one in self._model.state_dict().items()}
        self.history.append(
            {
                "epoch": epoch,
                "seconds": self._spent,
                "rate": self._optimiser.param_groups[0]["lr"],
                "losses": {name: one for name, one in mean.items() if not name.startswith("fact ")},
                "facts": {name[5:]: one for name, one in mean.items() if name.startswith("fact ")},
                "clean": seen and seen.clean,
                "robust": seen and seen.robust,
                "top": seen and seen.top,
            }
        )
        late = regime.patience and epoch - self.best_epoch >= regime.patience
        self._step, self._sums, self._spent = 0, {}, 0.0
        self._done = bool(fell or late)

    def _fell(self, seen: Check | None) -> bool:
        """Whether the guard must end the training."""
        before = self.history[-1]["robust"] if self.history else None
        guard = self._regime.guard
        return bool(guard and seen and before is not None and before - seen.robust > guard)

    def _check(self) -> Check | None:
        if not len(self.held):
            return None
        return check(
            self._model,
            self.held,
            threat=self._threat,
            steps=self._regime.check_steps,
            key=self._key.fold("check"),
            where=self._where,
        )

    def _save(self) -> None:
        """Write the checkpoint, by one process."""
        if self._file is None or self._where.rank:
            return
        parts = {
            "model": self._model.state_dict(),
            "optimiser": optimiser_state(self._optimiser),
            "memory": self._memory.state(),
            "average": self._average.state(),
            "best": self._best,
        }
        tensors = {f"{name}.{key}": value for name, own in parts.items() for key, value in own.items()}
        state = {
            "history": self.history,
            "step": self._step,
            "sums": self._sums,
            "best": self.best_epoch,
            "value": self._best_value,
            "done": self._done,
            "spent": self._spent,
        }
        write(self._file, tensors, state)
