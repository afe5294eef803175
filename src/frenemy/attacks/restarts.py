"""Restarts: the same attack again and again, each time under another key."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast, final

from frenemy.attacks.attack import Attack, Found
from frenemy.card import Access, Card
from frenemy.catalog import find
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Restarts"]


def _usual() -> Attack:
    """PGD, as it comes."""
    attack: Attack = find("attacks", "pgd").load()()
    return attack


@final
@dataclass(frozen=True, slots=True)
class Restarts:
    """Run one attack `times` times, each on the rows still open, and give for each row the best point of all.

    For attacks that draw and have no restarts of their own; one that draws nothing only repeats itself.

    Args:
        attack: what is run; by default PGD.
        times: number of runs, at least 1.
        early_stop: a row that fell is not tried again.
        batch_size: the most rows in one forward, handed to the attack if it has such a setting; None leaves its own.

    Returns:
        Found, as `WorstOf` gives it.

    Raises:
        UsageError: `times` is below 1, `attack` is none, or it cannot search the threat.

    Cost: at most `times` times that of the attack.

    Example:
        >>> Restarts(times=3).times
        3
    """

    attack: Attack = field(default_factory=_usual)
    times: int = 2
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Madry, Makelov, Schmidt, Tsipras, Vladu",
        title="Towards deep learning models resistant to adversarial attacks",
        year=2018,
        venue="ICLR",
        link="arXiv:1706.06083",
        place="Section 3.1 (restarts)",
        access=Access.GRADIENTS,
        reach=0.95,
        deviations=("the access it needs and the threats it searches are those of its attack",),
    )

    def __post_init__(self) -> None:
        if not isinstance(self.attack, Attack) or isinstance(self.attack, type):
            raise UsageError(
                f"expected an attack to start again, got {self.attack!r}; write Restarts(PGD(), 5)"
            )
        if self.times < 1:
            raise UsageError(f"expected times to be at least 1, got {self.times}; the default is 2")
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"expected batch_size to be at least 1, got {self.batch_size}; None is all rows")

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch, and the open ones again."""
        attack = self.attack
        if self.batch_size is not None and hasattr(attack, "batch_size"):
            attack = replace(cast(Any, attack), batch_size=self.batch_size)
        runs = tuple(_Run(attack, repr(self.attack), number) for number in range(self.times))
        worst = find("attacks", "worstof").load()(runs, early_stop=self.early_stop)
        found: Found = worst(model, batch, threat=threat, objective=objective, key=key)
        return found


@final
@dataclass(frozen=True, slots=True)
class _Run:
    """One of the runs: its repr, by which its key is folded, says which attack and which number."""

    attack: Attack = field(repr=False)
    name: str
    number: int

    @property
    def card(self) -> Card:
        """The attack's."""
        return self.attack.card

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        return self.attack(model, batch, threat=threat, objective=objective, key=key)
