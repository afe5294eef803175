"""Step: one batch of a training, as updates see it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import nn

from frenemy.data.batch import Batch
from frenemy.errors import DivergedError
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.engine import Engine
from frenemy.training.memory import Memory
from frenemy.training.pose import Pose
from frenemy.training.recipe import Learns, Recipe, Views, total

__all__ = ["Step"]


@final
@dataclass(slots=True, eq=False)
class Step:
    """What an update needs for one batch: to look, to pull, to move, to learn.

    Args:
        recipe: what is looked at and summed.
        model: in training mode.
        optimiser: of its parameters.
        memory: what the recipe carries.
        batch: the rows of this process.
        rows: how many rows all processes have together.
        threat: as large as it is by now.
        key: of this epoch; draws go by example.
        pose: how the model stands while it is searched.
        engine: where all this runs.

    Attributes:
        losses: sum over the rows of each term that was pulled last, and of `loss`, their weighted sum.
        facts: sum over the rows of each fact of the views that were looked at last.
    """

    recipe: Recipe
    model: nn.Module
    optimiser: torch.optim.Optimizer
    memory: Memory
    batch: Batch
    rows: int
    threat: Threat
    key: Key
    pose: Pose
    engine: Engine
    losses: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that the optimiser moves."""
        return [p for group in self.optimiser.param_groups for p in group["params"]]

    def look(self, draw: str | int = 0) -> Views:
        """Find the points of this batch; another `draw` finds others."""
        if not len(self.batch):
            return Views({})
        with self.pose() as model:
            views = self.recipe.views(
                model, self.batch, threat=self.threat, memory=self.memory, key=self.key.fold(draw)
            )
        self.facts = {name: float(values.double().sum()) for name, values in views.facts.items()}
        return views

    def pull(self, views: Views) -> None:
        """Put the gradients of the summed loss on the parameters, in place of what was there.

        Raises:
            DivergedError: the loss is not finite; no weight has moved by it.
        """
        self.optimiser.zero_grad(set_to_none=True)
        if len(self.batch):
            with self.engine.cast():
                terms = self.recipe.terms(self.model, self.batch, views, self.memory)
                loss = total(terms, self.rows)
            loss.backward()  # type: ignore[no-untyped-call]
            self.losses = {name: float(term.loss.detach().sum()) for name, term in terms.items()}
            self.losses = {**self.losses, "loss": float(loss.detach()) * self.rows}
        sane = torch.tensor(float(math.isfinite(self.losses.get("loss", 0.0))), device=self.engine.device)
        if float(self.engine.summed(sane)) < self.engine.world:
            raise DivergedError(
                f"expected a finite loss, got {self._parts()} in epoch {self.memory.epoch + 1}; use a lower rate"
            )
        self.engine.gather_gradients(self.parameters)

    def move(self) -> None:
        """Let the optimiser take its step."""
        self.optimiser.step()

    def learn(self, views: Views) -> None:
        """Let the recipe change what it carries."""
        if isinstance(self.recipe, Learns) and len(self.batch):
            self.recipe.learn(self.memory, self.batch, views, self.threat)

    def _parts(self) -> str:
        return ", ".join(f"{name} {value / max(len(self.batch), 1):g}" for name, value in self.losses.items())
