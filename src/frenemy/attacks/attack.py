"""Attack: a search for points of a threat that an objective likes; Found: what it brings back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Protocol, final, runtime_checkable

from torch import Tensor

from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Attack", "Books", "Found", "Phase", "Status", "admit"]


class Status(IntEnum):
    """How the search ended for an example."""

    ALREADY = 0
    """The input itself was where the perturber wants it."""
    FOUND = 1
    """A point of the set is."""
    NOT_FOUND = 2
    """No point that was looked at is."""
    OUT_OF_BUDGET = 3
    """As NOT_FOUND, and the search was cut short."""
    NOT_FINITE = 4
    """The model gave no finite answer, at the input or on the way, and no success was seen: nothing can be said."""


class Phase(IntEnum):
    """What a question is asked for, in searches that only ask."""

    CHECK = 0
    """The input itself."""
    START = 1
    """A first success, at any distance."""
    BORDER = 2
    """Where the border lies between a success and a failure."""
    SLOPE = 3
    """Which way it is nearer, or which way the loss rises."""
    STEP = 4
    """How far to go that way."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Books:
    """What was asked, one row an example; kept by searches with a budget of questions.

    Args:
        phases: `(batch, 5)` int64, rows sent for each `Phase`; they add up to the queries.
        unsafe: `(batch,)` int64, rows sent that were no success: what a watchful owner of the model would notice.
        trace: `(batch, marks)` distance of the nearest success after so many queries (`marks`), inside the threat or
            not; infinite before the first.
    """

    phases: Tensor
    unsafe: Tensor
    trace: Tensor

    @staticmethod
    def marks(queries: int) -> list[int]:
        """Numbers of queries at which a trace is read: at most 49, evenly spread by logarithm from 1 to `queries`."""
        return sorted({round(queries ** (k / 48)) for k in range(49)})


@final
@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One row an example: the best point that was looked at, and what it cost.

    Args:
        x: `(batch, *shape)` the point; success comes before loss, and a failed search still gives its best.
        loss: `(batch,)` the objective's loss there.
        success: `(batch,)` whether the objective succeeds there.
        status: `(batch,)` int64, values of `Status`.
        step: `(batch,)` int64, step at which success was first seen, counted through restarts; -1 for never.
        flat: `(batch,)` whether the first gradient was exactly zero or not finite, so that the search was blind.
        forwards, backwards: `(batch,)` int64, how often each row went through the model, and back.
        books: what was asked when and for what; None from searches that keep no such books.
    """

    x: Tensor
    loss: Tensor
    success: Tensor
    status: Tensor
    step: Tensor
    flat: Tensor
    forwards: Tensor
    backwards: Tensor
    books: Books | None = None

    @property
    def queries(self) -> Tensor:
        """`(batch,)` int64 rows the model looked at: its forwards."""
        return self.forwards


@runtime_checkable
class Attack(Protocol):
    """A search with its settings in the constructor and its data in the call.

    It leaves no trace on the model, never raises for one bad row, and its result for a row depends neither on
    the other rows nor on the size of the batch.
    """

    card: ClassVar[Card]

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found: ...


def admit(attack: Attack, threat: Threat) -> None:
    """Refuse a threat that an attack cannot search.

    Raises:
        UsageError: the threat is not among those on the attack's card.
    """
    able, kind = attack.card.threats, type(threat).__name__
    if able and kind.lower() not in able:
        raise UsageError(
            f"expected a threat that {type(attack).__name__} can search ({', '.join(able)}), got {kind}; "
            "choose another threat or another attack (frenemy list attacks)"
        )
