"""Again: the search of an audit, repeated shorter, longer and with all the room there is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from frenemy.attacks.attack import Attack
from frenemy.attacks.fgsm import FGSM
from frenemy.attacks.hopskipjump import HopSkipJump
from frenemy.attacks.pgd import PGD
from frenemy.attacks.square import Square
from frenemy.card import Access
from frenemy.risks.estimate import proportion
from frenemy.risks.headline import Headline
from frenemy.risks.inquiry import Inquiry, spread
from frenemy.risks.plan import Plan
from frenemy.risks.search import able, parts
from frenemy.risks.trust import Finding
from frenemy.risks.wishes import WHO, wished
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

__all__ = ["about_length", "about_room", "about_single_step", "climber"]

_ROOM: Final[Mapping[Access, Attack]] = {
    Access.GRADIENTS: PGD(steps=50, step_size=0.05, random_start=False),
    Access.SCORES: Square(queries=500),
    Access.LABELS: HopSkipJump(queries=100, early_stop=True),
}
_FAR: Final = 100.0
"""Where the box has no end, this many times eps is all the room there is."""

_Rows = NDArray[np.int64]


def climber(plan: Plan, wish: str, threat: Threat) -> Attack | None:
    """The attack of a plan that goes step by step up any loss; the last one, or one that sees scores; else None."""
    leaves = [leaf for search in plan.searches[wish] for leaf in parts(search.attack) if able(leaf, threat)]
    steps = [
        leaf
        for leaf in leaves
        if hasattr(leaf, "steps") and not leaf.card.nearest and leaf.card.access is Access.GRADIENTS
    ]
    blind = [leaf for leaf in leaves if isinstance(leaf, Square)]
    return (steps or blind)[-1] if steps or blind else None


def about_single_step(inquiry: Inquiry, threat: Threat, found: Headline, wish: str, count: int) -> Finding:
    """Try one step on examples that stood up to the search: iterating must beat it (Carlini et al. 2019)."""
    name = "one step beats many"
    rows = _standing(inquiry, threat, found, wish, count)
    if not any(sought.search.white for sought in found.searches[wish]) or not able(FGSM(), threat):
        return Finding(name, "No search followed gradients.", "not run")
    fell, n = _fell(inquiry, rows, FGSM(), threat, wish)
    seen = (
        f"A single step of {WHO[wish]} brought down {fell} of {n} examples that had stood up to the search."
    )
    fix = "The search walks past what is near: give it smaller steps, or more starts."
    return Finding(name, seen, _shift(fell, n, found, inquiry, wish), fix)


def about_length(
    inquiry: Inquiry, threat: Threat, found: Headline, plan: Plan, wish: str, budget: float
) -> Finding:
    """Search examples that stood up once more, from new starts and twice as long.

    What falls then must not change the number by more than the half of its interval that lies below it.

    Args:
        budget: forwards and backwards that may be spent, at least 8 examples' worth.
    """
    name = "twice the steps find more"
    attack = climber(plan, wish, threat)
    if attack is None:
        return Finding(name, "No attack here goes step by step.", "not run")
    word = "steps" if hasattr(attack, "steps") else "queries"
    longer: Any = replace(cast(Any, attack), **{word: max(2 * getattr(attack, word), 2)})
    for start, value in {"random_start": True, "restarts": 1}.items():
        longer = replace(longer, **{start: value}) if hasattr(longer, start) else longer
    each = getattr(longer, word) * (2 if word == "steps" else 1)
    rows = _standing(inquiry, threat, found, wish, max(8, int(budget / each)))
    fell, n = _fell(inquiry, rows, longer, threat, wish)
    seen = (
        f"With twice the {word} and new starts, {fell} of {n} examples fell to {WHO[wish]} that had stood up to the "
        "search."
    )
    fix = f"The search was too short: raise --{'steps' if word == 'steps' else 'attack square(queries=...)'}."
    return Finding(name, seen, _shift(fell, n, found, inquiry, wish), fix)


def about_room(inquiry: Inquiry, threat: Threat, found: Headline, wish: str, count: int) -> Finding:
    """Give the search the whole box: what fell must fall again, and the rest too, down to the rate of guessing.

    Indicator I6 of Pintor et al. 2022, and "high distortion drives accuracy to chance" of Carlini et al. 2019.
    """
    name = "more room finds less"
    ball = threat.ball if isinstance(threat, Sphere) else threat
    if hasattr(ball, "count"):
        return Finding(name, "A threat that is a list of members has no larger one.", "not run")
    if inquiry.examples.rules is not None:
        return Finding(name, "The rules of the table hold some columns still in any room.", "not run")
    seen_most = max(
        (s.search.access for s in found.searches[wish]), key=lambda a: a.rank, default=Access.LABELS
    )
    attack = _ROOM[seen_most]
    if not able(attack, ball):
        return Finding(name, "No attack for so large a threat.", "not run")
    whole = ball.at(_whole(inquiry, ball))
    wrong = inquiry.answers != inquiry.labels
    open_ = inquiry.judged[wrong[inquiry.judged] == (wish == "hypocritical")]
    rows = spread(open_, count)
    before = found.searches[wish][-1].after[rows] if found.searches[wish] else np.zeros(len(rows), dtype=bool)
    result, _ = inquiry.search("checks", rows, attack, whole, wished(wish, "margin"), [])
    if not len(result["rows"]):
        return Finding(name, f"No example is left for {WHO[wish]}.", "not run")
    fell = result["distance"] < math.inf
    fell &= (result["answer"] == inquiry.labels[rows]) == (wish == "hypocritical")
    fell &= result["answer"] >= 0
    left, lost, n = int((~fell).sum()), int((~fell & before).sum()), len(rows)
    guess = np.bincount(inquiry.labels[inquiry.judged]).max() / len(inquiry.judged)
    seen = f"With all the room there is, {left} of {n} examples stand up to {WHO[wish]}"
    seen += f"; {lost} of them had fallen in less." if lost else "."
    fix = (
        "Whoever may do anything can do this too: the search is blind, so what it does not find in the asked room "
        "means nothing. Search with scores alone (square), BPDA or EOT."
    )
    low = proportion(left, n).low
    grade = "doubt" if low > guess else "caution" if left > guess * n or lost > 0.1 * n else ""
    return Finding(name, seen, grade, fix)


def _standing(inquiry: Inquiry, threat: Threat, found: Headline, wish: str, count: int) -> _Rows:
    rows = inquiry.possible(inquiry.judged, threat)
    known = found.pool.known(wish, float(threat.eps))
    return spread(rows[~known[rows]], count)


def _fell(inquiry: Inquiry, rows: _Rows, attack: Attack, threat: Threat, wish: str) -> tuple[int, int]:
    """How many of the rows fall, and of how many; what is found here is not counted in the audit's numbers."""
    key = inquiry.key.fold("again")
    result, _ = inquiry.search("checks", rows, attack, threat, wished(wish, "margin"), [], key)
    if not len(result["rows"]):
        return 0, 0
    target = result["answer"] == inquiry.labels[result["rows"]]
    fell = (result["answer"] >= 0) & (target == (wish == "hypocritical"))
    return int(fell.sum()), len(fell)


def _shift(fell: int, n: int, found: Headline, inquiry: Inquiry, wish: str) -> str:
    """Grade by how far the audit's number would move: beyond its interval, or provably beyond it."""
    if not fell:
        return ""
    judged = inquiry.judged
    known = found.searches[wish][-1].after[judged]
    number = proportion(int((~known).sum()), len(judged))
    room = number.value - number.low
    if proportion(fell, n).low * number.value > room:
        return "doubt"
    return "caution" if fell / n * number.value > room else "note"


def _whole(inquiry: Inquiry, ball: Threat) -> float:
    """The distance from corner to corner of the box, in the norm of the ball."""
    x = inquiry.examples.batch(slice(0, 1)).x
    low, high = (torch.as_tensor(end, dtype=x.dtype).expand(x.shape[1:]) for end in (ball.low, ball.high))
    size = float(ball.norm((high - low)[None])[0])
    return size if math.isfinite(size) else _FAR * float(ball.eps)
