"""AutoAttack: the ensemble that the field reports robust accuracy by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

import torch

from frenemy.attacks.aimed import Aimed
from frenemy.attacks.apgd import APGD
from frenemy.attacks.attack import Attack, Found, admit
from frenemy.attacks.best import look
from frenemy.attacks.fab import FAB
from frenemy.attacks.square import Square
from frenemy.attacks.windows import BLOCK
from frenemy.attacks.worst_of import WorstOf
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError, nearest
from frenemy.models.eot import EOT
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["AutoAttack"]

_VERSIONS: Final = ("standard", "plus", "rand")
_DRAWS: Final = 20


@final
@dataclass(frozen=True, slots=True)
class AutoAttack:
    r"""Four attacks in turn, each on the rows that the ones before left open; no parameter to choose.

    | version | attacks |
    |---|---|
    | `standard` | APGD on cross-entropy; APGD towards each target; FAB towards each target; Square |
    | `plus` | APGD on cross-entropy and on DLR, FAB, 5 starts each; Square; APGD and FAB towards each target |
    | `rand` | APGD on cross-entropy and on DLR, on the mean of 20 answers of a random model |

    The targets are the classes of highest logit on the clean answer, `targets` of them or as many as there are. With
    fewer than 3 classes (4 for targets) DLR is undefined and the margin is climbed instead. An objective towards a
    class has one target: there APGD on DLR and FAB stand for the targeted parts.

    Args:
        version: `standard`, `plus` or `rand`.
        steps: of APGD and FAB; the published number is 100.
        queries: of Square; the published number is 5,000.
        targets: at most so many classes are tried as targets; the published number is 9.
        early_stop: a row that fell is not tried by later parts.
        parity: follow the published implementation where it differs from the papers (see APGD and FAB), to compare
            with old numbers.
        batch_size: the most rows in one forward; None is all rows of the call.

    Returns:
        Found; `loss` is that of the objective in the call, whatever a part climbed.

    Raises:
        UsageError: an unknown version, a number below 1, or a threat that a part cannot search (a sphere).

    Cost: a row that survives `standard` with ten classes takes about 1,900 backwards and 6,900 forwards, and some 5 %
    more of these where few rows are left; one that falls leaves at once.

    Example:
        >>> [part.loss for part in AutoAttack(targets=1).parts(classes=10)]
        ['ce', 'dlr', 'margin', 'margin']
    """

    version: str = "standard"
    steps: int = 100
    queries: int = 5000
    targets: int = 9
    early_stop: bool = True
    parity: bool = False
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Croce, Hein",
        title="Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
        year=2020,
        venue="ICML",
        link="arXiv:2003.01690",
        place="Section 5; the versions are those of the released code",
        access=Access.GRADIENTS,
        reach=0.95,
        threats=("linf", "l2", "l1"),
        deviations=(
            "a row leaves at its first success, inside a part too",
            "FAB gives up walks that stay too far beyond eps to come back (patience.py); not with parity",
            "few rows are searched towards several classes at a time; the first success in their order is kept",
            "Square asks about up to 4 proposals of a row at a time where rows are few, which changes no result; "
            "not with parity",
            "with fewer classes than DLR needs, the margin is climbed; the released code fails",
            "every attack draws from keys, not from a generator that is seeded again for every batch",
            "rand: a row falls when the mean of 20 answers does, not by one lucky answer",
        ),
    )

    def __post_init__(self) -> None:
        if self.version not in _VERSIONS:
            raise UsageError(f"unknown version '{self.version}'{nearest(self.version, _VERSIONS)}")
        if self.steps < 0 or self.queries < 1 or self.targets < 1:
            raise UsageError(
                "expected steps >= 0, queries >= 1 and targets >= 1, "
                f"got steps={self.steps}, queries={self.queries}, targets={self.targets}"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"expected batch_size to be at least 1, got {self.batch_size}")

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)
        asked = EOT(model, _DRAWS) if self.version == "rand" else model
        with torch.inference_mode(False), still(model):
            classes = look(asked, batch.x, self.batch_size).shape[1]
        parts = tuple(self.parts(classes, towards=objective.towards))
        worst = WorstOf(parts, early_stop=self.early_stop, batch_size=self.batch_size)
        found = worst(asked, batch, threat=threat, objective=objective, key=key)
        times = _DRAWS if self.version == "rand" else 1
        return replace(found, forwards=times * (found.forwards + 1), backwards=times * found.backwards)

    def parts(self, classes: int, *, towards: bool = False) -> list[Aimed]:
        """The attacks in the order in which they run, for a model with so many classes."""
        return list(self._parts(1 if towards else min(self.targets, classes - 1), towards))

    def _parts(self, targets: int, towards: bool) -> Iterator[Aimed]:
        starts = 5 if self.version == "plus" else 1
        climb = APGD(self.steps, starts, parity=self.parity)
        yield Aimed(climb, "ce")
        if self.version != "standard":
            yield Aimed(climb, "dlr")
        if self.version == "rand":
            return
        near = FAB(self.steps, starts, early_stop=True, parity=self.parity)
        last: list[Attack] = [Square(self.queries, ahead=1 if self.parity else BLOCK)]
        if self.version == "plus":
            yield Aimed(near, "margin")
            yield Aimed(last.pop(), "margin")
        single, near = replace(climb, restarts=1), replace(near, restarts=1)
        ranks = tuple(range(1, targets + 1))
        if towards or self.parity:
            yield from (Aimed(single, "dlr", 0 if towards else rank) for rank in ranks)
            yield Aimed(replace(near, targets=targets), "margin")
        else:
            yield Aimed(single, "dlr", ranks)
            yield Aimed(near, "margin", ranks)
        for attack in last:
            yield Aimed(attack, "margin")
