"""Party: one model among several that are held against each other, what searches it, and the points that are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from frenemy.card import Access
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.judge import Judge
from frenemy.risks.named import asked
from frenemy.risks.plan import plan
from frenemy.risks.question import Question, likely
from frenemy.risks.ruled import refuse_spheres
from frenemy.risks.search import Search, chooses
from frenemy.risks.tidy import tidied
from frenemy.risks.wishes import WHO
from frenemy.rng import Key
from frenemy.threats.spec import spell
from frenemy.threats.threat import Threat, radii

__all__ = ["Party", "drawn_from", "party", "points_of", "spell_sized"]

_USUAL: Final = {
    Access.GRADIENTS: "pgd(steps=50)",
    Access.SCORES: "square(queries=1000)",
    Access.LABELS: "hopskipjump(queries=1500)",
}
"""What searches a model of which so much is seen."""

_Points = tuple[NDArray[np.float32], NDArray[np.bool_]]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Party:
    """One model of several.

    Args:
        asks: the model, the data and the threat.
        judge: asks it, and gives back every point.
        search: what searches it; None where it shows too little for that, and is judged only.
        settings: what decides the numbers, as JSON values.
    """

    asks: Question
    judge: Judge
    search: Search | None
    settings: dict[str, Any]


def party(
    asks: Question,
    attack: str | None,
    loss: str,
    wishes: Sequence[str],
    batch_size: int,
    more: Mapping[str, Any],
) -> Party:
    """Choose what searches a model.

    Args:
        attack: one attack by name; None takes the usual one for what is seen of the model. One that searches inside a
            set goes on after a success, up to the highest loss, unless it is told not to.
        loss: what it climbs, where it takes one and none is said with it.
        wishes: the objectives.
        more: what else decides the numbers.

    Raises:
        UsageError: it is not one attack, cannot search the threat, or a name or a value is wrong.
    """
    judge, examples = Judge(asks.model, fast=True, precision="float32", batch_size=batch_size), asks.examples
    judge.pictures, judge.rules, seen = len(examples), examples.rules, asks.model.shown
    refuse_spheres(examples.rules, asks.threat)
    if seen is Access.GRADIENTS and not judge.sloped(examples.batch(slice(0, 1), asks.device)):
        seen = Access.SCORES
    text = attack or ("grid" if hasattr(asks.threat, "count") else _USUAL[seen])
    named = asked(text)
    if len(named) != 1:
        raise UsageError(f"expected one attack, got '{text}'; name the one whose points are to be passed on")
    one = named[0] if named[0].attack.card.nearest else named[0].having({"early_stop": False})
    search = Search(one.attack, one.loss or (None if chooses(one.attack) else loss))
    shape, classes = tuple(examples.x.shape[1:]), len(examples.classes)
    plan([search], "standard", None, {}, wishes, asks.threat, shape, classes)
    if hasattr(search.attack, "others"):
        judge.others = likely(examples)
    settings = asks.identity() | {"threat": spell_sized(asks.threat), "attack": search.identity, **more}
    return Party(asks, judge, search if search.access.rank <= seen.rank else None, settings)


def points_of(inquiry: Inquiry, search: Search, threat: Threat, wish: str) -> _Points:
    """Search every example; give a point for each, and for which of them it was confirmed from outside."""
    points = inquiry.examples.batch().x.numpy().copy()
    held = np.zeros(len(points), dtype=bool)
    found, _ = inquiry.search(WHO[wish], inquiry.judged, search.attack, threat, search.wish(wish), [])
    if len(found["rows"]):
        held[found["rows"]] = found["answer"] >= 0
        points[found["shown"]] = found["points"]
    return points, held


def drawn_from(examples: Examples, threat: Threat, key: Key) -> _Points:
    """Draw a point of the threat for each example; give it, and for which of them it is one."""
    batch = examples.batch()
    held = batch.x.flatten(1).isfinite().all(1)
    held[held.clone()] = ~threat.empty(batch.x[held], radii(threat.eps, batch.x[held]))
    points, some = batch.x.clone(), batch.rows(held)
    eps = radii(threat.eps, some.x)
    drawn = threat.sample(some.x, some.index, key.fold("random"), eps)
    points[held] = drawn if examples.rules is None else tidied(drawn, some.x, examples.rules, threat)
    held[held.clone()] = threat.contains(points[held], some.x, eps)
    return points.numpy(), held.numpy()


def spell_sized(threat: Threat) -> str:
    """Write a threat with its size, as `parse` reads it."""
    if hasattr(threat, "count"):
        return spell(threat)
    eps = threat.eps if isinstance(threat.eps, float | int) else float(threat.eps.max())
    return f"{spell(threat)}:{eps:g}"
