"""Recipe: a training method, said as the points it looks at and the losses that it sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypeAlias, final, runtime_checkable

import torch
from torch import Tensor, nn

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import UsageError, nearest
from frenemy.models.model import Model
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.memory import Memory

__all__ = [
    "Learns",
    "Prepares",
    "Preset",
    "Recipe",
    "Remembers",
    "Term",
    "Terms",
    "Views",
    "answers",
    "prepared",
    "total",
    "within",
]


_FORWARDS: Final = ("joint", "separate")


@final
@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """What a recipe looks at in a batch.

    Args:
        x: points by name, each `(batch, *shape)`, without a graph; the terms are losses there.
        facts: what is to be known of the rows besides, each `(batch,)` numbers; their means are logged.
        labels: what the terms hold the answers against, where it is not the label: distributions `(batch, classes)`,
            labels of others `(batch,)`, or what such are made from.
    """

    x: Mapping[str, Tensor]
    facts: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Mapping[str, Tensor] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One part of what is minimised: a loss a row, `(batch,)` with its graph, and its weight in the sum."""

    loss: Tensor
    weight: float = 1.0


Terms: TypeAlias = dict[str, Term]
"""What is minimised, by name: the weighted sum of the terms' means over the batch."""


@final
@dataclass(frozen=True, slots=True)
class Preset:
    """Settings under which a source trained.

    Args:
        source: where they stand.
        model: the architecture, as a word of the command line.
        threat: such as `linf:0.3`; None for methods without one.
        recipe: settings of the recipe that are not its defaults.
        regime: settings of the regime that are not its defaults.
    """

    source: str
    model: str
    threat: str | None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    regime: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Recipe(Protocol):
    """A training method: a frozen dataclass with its settings.

    The points are found once a step, the model held still (`views`), and then their losses are a pure, differentiable
    function of the weights (`terms`), which an update may ask for more than once. No loss is reduced over the batch
    inside.

    Where a recipe has `rowwise` set, rows leave its search one by one, and batch norm may not look at the batch there.

    Where it has an `update`, the weights follow that one, and not the one that the regime asks for.

    `presets` are the settings under which the source trained, by the name of the data set.
    """

    card: ClassVar[Card]
    presets: ClassVar[Mapping[str, Preset]]

    def views(self, model: Model, batch: Batch, *, threat: Threat, memory: Memory, key: Key) -> Views:
        """Find the points to look at; the model has no parameter gradients here."""
        ...

    def terms(self, model: Model, batch: Batch, views: Views, memory: Memory) -> Terms:
        """What is summed over the rows, with gradients for the weights of the model."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A recipe that trains a model of its own kind, made of the one that is given."""

    def prepare(self, model: nn.Module) -> nn.Module:
        """Make it, and leave the given model as it is; one that is of the kind already is given back."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A recipe that carries something from step to step."""

    def remember(self, memory: Memory, examples: Examples, batch_size: int) -> None:
        """Put what is carried into the memory, before the first step."""
        ...


@runtime_checkable
class Learns(Protocol):
    """A recipe that changes what it carries after each step of the weights."""

    def learn(self, memory: Memory, batch: Batch, views: Views, threat: Threat) -> None:
        """Change the memory; gradients of the last pull lie in the `grad` of leaves among the views."""
        ...


def prepared(recipe: Recipe, model: nn.Module) -> nn.Module:
    """Give the model that a recipe trains: the given one, or what the recipe makes of it."""
    return recipe.prepare(model) if isinstance(recipe, Prepares) else model


def total(terms: Terms, rows: int) -> Tensor:
    """Sum the terms: `sum_t w_t sum_i l_ti / rows`, where a weight of 0 takes no part, not even with a NaN.

    Raises:
        UsageError: no term has a weight.
    """
    parts = [term.weight * term.loss.sum() / rows for term in terms.values() if term.weight != 0]
    if not parts:
        raise UsageError("expected at least one term with a weight that is not 0, got none; set a weight")
    return torch.stack(parts).sum() if len(parts) > 1 else parts[0]


def answers(model: Model, points: list[Tensor], forward: str) -> list[Tensor]:
    """Give the logits at several batches of points; batch norm sees them together or one by one.

    Args:
        model: in the mode in which it trains.
        points: each `(batch, *shape)`.
        forward: `joint`, one forward of all points together; `separate`, one forward each.
    """
    if forward not in _FORWARDS:
        raise UsageError(f"unknown forward '{forward}'{nearest(forward, _FORWARDS)}")
    if forward == "separate":
        return [model(x) for x in points]
    return list(model(torch.cat(points)).chunk(len(points)))


def within(name: str, value: float, high: float = 1.0) -> None:
    """See that a setting lies between 0 and `high`.

    Raises:
        UsageError: it does not.
    """
    if not 0 <= value <= high:
        raise UsageError(f"expected {name} to be from 0 to {high:g}, got {value}")
