"""Step: one batch of a training, as updates see it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from frenemy.data.batch import Batch
from frenemy.errors import DivergedError, UsageError
from frenemy.models.layout import ChannelsLast
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.engine import Engine
from frenemy.training.memory import Memory
from frenemy.training.pose import Pose
from frenemy.training.recipe import Learns, Recipe, Terms, Views, total

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
        """Put the gradients of the summed loss on parameters and leaves among the views, in place of what was there.

        Raises:
            DivergedError: the loss is not finite; no weight has moved by it.
        """
        terms, loss = self._ask(views)
        if terms:
            loss.backward()  # type: ignore[no-untyped-call]
        self._note(terms, loss)
        self.engine.gather_gradients(self.parameters)

    def pull_each(self, views: Views) -> tuple[Tensor, Tensor]:
        """Give the weights `(T,)` and the gradients `(T, p)` of the means of the terms, in their order.

        Terms with a weight of 0 are left out. The gradients on the parameters are cleared.

        Raises:
            DivergedError: a loss is not finite; no weight has moved by it.
            UsageError: no term has a weight, or there is no room for so many gradients.
        """
        terms, loss = self._ask(views)
        self._note(terms, loss)
        engine, parts = self.engine, [term for term in terms.values() if term.weight != 0]
        here = torch.tensor([float(bool(parts)), float(len(parts))], device=engine.device)
        present, count = engine.summed(here).tolist()
        said = torch.zeros(round(count / present), device=engine.device)
        said[: len(parts)] = torch.tensor([term.weight for term in parts])
        weights = engine.summed(said) / present
        losses = [term.loss.sum() / self.rows for term in parts]
        try:
            gradients = [self._gradient(losses[k] if parts else None) for k in range(len(weights))]
            return weights, torch.stack(gradients)
        except (MemoryError, torch.OutOfMemoryError) as error:
            size = sum(p.numel() for p in self.parameters)
            raise UsageError(
                f"expected room for {len(weights)} gradients of {size:,} numbers, "
                f"{4 * len(weights) * size / 2**30:.1f} GiB; use fewer terms or a smaller model"
            ) from error

    def _gradient(self, loss: Tensor | None) -> Tensor:
        """The gradient of one loss over all processes, flat; the graph stays."""
        for parameter in self.parameters:
            parameter.grad = None
        if loss is not None:
            loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
        self.engine.gather_gradients(self.parameters)
        flat = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        return torch.cat([gradient.flatten() for gradient in flat])

    def _ask(self, views: Views) -> tuple[Terms, Tensor]:
        """Clear every gradient; give the terms of the rows here, and their weighted sum as a mean over all rows.

        Convolutions work channels last there, which changes no more than the order of sums.
        """
        self.optimiser.zero_grad(set_to_none=True)
        for leaf in (*views.x.values(), *views.labels.values()):
            leaf.grad = None
        if not len(self.batch):
            return {}, torch.zeros(())
        with self.engine.cast(), ChannelsLast():
            terms = self.recipe.terms(self.model, self.batch, views, self.memory)
            return terms, total(terms, self.rows)

    def _note(self, terms: Terms, loss: Tensor) -> None:
        """Keep what the terms come to, and see that their sum is finite in every process.

        Raises:
            DivergedError: it is not.
        """
        own = float(loss.detach())
        if terms:
            self.losses = {name: float(term.loss.detach().sum()) for name, term in terms.items()}
            self.losses = {**self.losses, "loss": own * self.rows}
        sane = torch.tensor(float(math.isfinite(own)), device=self.engine.device)
        if float(self.engine.summed(sane)) < self.engine.world:
            raise DivergedError(
                f"expected a finite loss, got {self._parts()} in epoch {self.memory.epoch + 1}; use a lower rate"
            )

    def move(self) -> None:
        """Let the optimiser take its step."""
        self.optimiser.step()

    def learn(self, views: Views) -> None:
        """Let the recipe change what it carries."""
        if isinstance(self.recipe, Learns) and len(self.batch):
            self.recipe.learn(self.memory, self.batch, views, self.threat)

    def _parts(self) -> str:
        return ", ".join(f"{name} {value / max(len(self.batch), 1):g}" for name, value in self.losses.items())
