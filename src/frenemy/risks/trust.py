"""Trust: one verdict on the numbers of an audit, from all that was asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from frenemy.risks.estimate import proportion
from frenemy.risks.result import Caveat, Check

__all__ = ["QUESTIONS", "Finding", "checked", "graded", "gravest_first", "percent", "verdict"]

QUESTIONS: Final = {
    "random answers": "Asked the same thing twice, does the model give the same answer?",
    "answers depend on the batch": "Does an example get the same answer in another batch?",
    "the model changed": "Does the model still answer at the end as it did before the attacks?",
    "optimises in its forward": "Does the model answer without taking gradients of its own?",
    "probabilities": "Does the model give logits?",
    "constant answers": "Do its answers depend on the input?",
    "no gradients": "Can attacks follow gradients?",
    "zero gradients": "Do the gradients lead somewhere?",
    "gradients do not predict": "Does the answer change as its gradient says?",
    "unstable answers": "Do answers change smoothly under random noise?",
    "noise beats the search": "Does the search find all that random noise finds?",
    "one step beats many": "Does the search find all that a single step finds?",
    "still improving": "Had the search come to rest when it stopped?",
    "twice the steps find more": "Would twice the steps from new starts find as much?",
    "more room finds less": "With all the room there is, does everything fall?",
    "losses disagree": "Do the losses that were climbed agree?",
    "gradients mislead": "Do attacks with gradients find all that attacks without find?",
    "not confirmed": "Do the successes stand up on the model itself?",
    "silent success": "Did the attacks return the successes they met?",
    "planted enemies are missed": "Does the attack find an enemy that was planted in every neighbourhood?",
    "risks contradict": "Do the risks satisfy the identities that hold between them?",
    "cross-entropy only": "Was more than cross-entropy searched?",
    "training mode": "Was the model handed over in evaluation mode?",
}
"""By the name of the caveat that each raises, what is asked, in the order of the page."""

_GRAVITY: Final = ("not run", "", "note", "caution", "doubt")
_VERDICTS: Final = {"doubt": "do not trust", "caution": "caution"}


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw.

    Args:
        name: one of `QUESTIONS`.
        seen: a sentence.
        grade: empty if all is well; `note`, `caution` or `doubt`, if not; `not run`, where it could not be asked.
        fix: what to do then, a sentence.
    """

    name: str
    seen: str
    grade: str = ""
    fix: str = ""


def graded(hits: int, n: int, caution: float, doubt: float) -> str:
    """Grade how often something went wrong, by what is proven of its share (the lower end of Wilson's interval).

    Args:
        hits: how often, among `n`.
        caution, doubt: a share that is proven to be above the one, or above the other, is worth that grade.
    """
    low = proportion(hits, n).low if n else 0.0
    return "doubt" if low > doubt else "caution" if low > caution else ""


def checked(findings: Sequence[Finding]) -> tuple[Check, ...]:
    """Lay out every question that was asked, in their order, with its answer.

    Where several findings answer one question, such as one for an enemy and one for a false friend, the gravest stands
    first, gives the state, and all are told.
    """
    checks = []
    for name, question in QUESTIONS.items():
        own = sorted((f for f in findings if f.name == name), key=lambda f: -_GRAVITY.index(f.grade))
        if own:
            told = " ".join(dict.fromkeys(finding.seen for finding in own))
            checks.append(Check(name, question, own[0].grade or "passed", told))
    return tuple(checks)


def gravest_first(findings: Sequence[Finding]) -> tuple[Caveat, ...]:
    """What a reader must know, the gravest first; what several findings of one name saw is told at once."""
    wrong = [finding for finding in findings if finding.grade not in ("", "not run")]
    wrong.sort(key=lambda finding: -_GRAVITY.index(finding.grade))
    caveats = []
    for name in dict.fromkeys(finding.name for finding in wrong):
        own = [finding for finding in wrong if finding.name == name]
        told = dict.fromkeys([*(finding.seen for finding in own), own[0].fix])
        caveats.append(Caveat(name, " ".join(filter(None, told)), own[0].grade))
    return tuple(caveats)


def verdict(caveats: Sequence[Caveat]) -> str:
    """The worst grade decides: `do not trust` for any doubt, `caution` for any caution, else `ok`."""
    grades = {caveat.grade for caveat in caveats}
    return next((word for grade, word in _VERDICTS.items() if grade in grades), "ok")


def percent(share: float) -> str:
    """Write a share as whole per cent."""
    return f"{100 * share:.0f} %"
