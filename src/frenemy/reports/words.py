"""What the numbers are called in words, and how a number is written for a person."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

from frenemy.risks.estimate import Estimate
from frenemy.risks.result import Audit, Measurement

__all__ = [
    "ACCURACIES",
    "RISKS",
    "WHO",
    "Word",
    "class_name",
    "headline",
    "interval",
    "percent",
    "reach",
    "share",
    "size",
    "trust",
]


@final
@dataclass(frozen=True, slots=True)
class Word:
    """What a measure is called.

    Args:
        measure: its name in `Measurement.measure`.
        letter, subscript: its symbol, as in 000: `R` and `adv|correct`.
        name: a few words.
        meaning: one sentence for somebody who never read a paper.
        among: the examples it is counted over.
        side: who acts: `clean`, `enemy`, `friend` or `either`.
    """

    measure: str
    letter: str
    subscript: str
    name: str
    meaning: str
    among: str
    side: str

    @property
    def symbol(self) -> str:
        """The symbol on one line: `R_adv|correct`."""
        return f"{self.letter}_{self.subscript}" if self.subscript else self.letter


_ALL, _RIGHT, _WRONG = "all inputs", "inputs it gets right", "inputs it gets wrong"

ACCURACIES = (
    Word(
        "accuracy_hypocritical",
        "F",
        "",
        "with a false friend",
        "How good the model looks when a false friend prepared the inputs.",
        _ALL,
        "friend",
    ),
    Word(
        "accuracy_clean",
        "D",
        "",
        "on clean inputs",
        "How often the model is right when nobody touched the inputs.",
        _ALL,
        "clean",
    ),
    Word(
        "accuracy_adversarial",
        "A",
        "",
        "under an enemy",
        "What is left when an enemy prepared the inputs.",
        _ALL,
        "enemy",
    ),
)
"""Accuracy on the false friend's inputs, on the data, on the enemy's inputs (000: Tables 1 and 4)."""

RISKS = (
    Word("risk_natural", "R", "nat", "natural", "The model is wrong on an untouched input.", _ALL, "clean"),
    Word(
        "risk_adversarial",
        "R",
        "adv",
        "adversarial",
        "The model is wrong already, or an enemy can make it wrong.",
        _ALL,
        "enemy",
    ),
    Word(
        "risk_adversarial_on_correct",
        "R",
        "adv|correct",
        "adversarial, on correct",
        "An enemy can turn a right answer into a wrong one.",
        _RIGHT,
        "enemy",
    ),
    Word(
        "risk_hypocritical",
        "R",
        "hyp",
        "hypocritical",
        "A false friend can make a wrong answer look right.",
        _WRONG,
        "friend",
    ),
    Word(
        "risk_hypocritical_changed",
        "R",
        "hyp,changed",
        "hypocritical, changed",
        "The false friend's attempt changes a wrong answer, to the right one or to another.",
        _WRONG,
        "friend",
    ),
    Word(
        "risk_reversible",
        "R",
        "rev",
        "reversible",
        "Somebody can make the model change its answer, right or wrong.",
        _ALL,
        "either",
    ),
    Word(
        "risk_reversible_on_wrong",
        "R",
        "rev|wrong",
        "reversible, on wrong",
        "Somebody can make the model change a wrong answer to any other.",
        _WRONG,
        "either",
    ),
)
"""The risks of 000: Section 3, Propositions 1 and 2, Definition 3, Theorem 1."""


_TRUST = {
    "ok": "No check found a reason to doubt these numbers. A stronger attack may still lower A and raise F.",
    "caution": "Something was seen that may make these numbers too good: {reasons}. Read what, and what to do, above.",
    "do not trust": "Do not use these numbers: {reasons}. Read why, and what to do, above.",
}

WHO = {"none": "nobody", "untargeted": "enemy", "hypocritical": "false friend", "reversal": "reversal"}
"""Whose work a number is, by objective."""


def headline(audit: Audit, measure: str) -> Measurement | None:
    """Find the headline measurement of a measure, or None where the audit did not ask for it."""
    found = (m for m in audit.measurements if m.measure == measure and m.role == "headline")
    return next(found, None)


def trust(audit: Audit) -> dict[str, str] | None:
    """Put the verdict on an audit in words: `word`, a `look` for style sheets, and a sentence; None without one."""
    if audit.trust not in _TRUST:
        return None
    wanted = ("doubt",) if audit.trust == "do not trust" else ("caution",)
    reasons = dict.fromkeys(caveat.name for caveat in audit.caveats if caveat.grade in wanted)
    text = _TRUST[audit.trust].format(reasons=", ".join(reasons))
    return {"word": audit.trust, "look": audit.trust.replace(" ", "-"), "text": text}


def share(value: float) -> str:
    """Write a share in [0, 1] in per cent; only exactly 0 and exactly 1 are written 0.0 and 100.0."""
    text = f"{100 * value:.1f}"
    if text == "0.0" and value > 0:
        return "<0.1"
    return ">99.9" if text == "100.0" and value < 1 else text


def percent(estimate: Estimate) -> str:
    """Write an estimate in per cent: `97.2 %`, or `undefined` where no example stands behind it."""
    return f"{share(estimate.value)} %" if _known(estimate) else "undefined"


def interval(estimate: Estimate) -> str:
    """Write the two ends of the interval in per cent: `[96.0, 98.1]`; a dash for an undefined estimate."""
    return f"[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]" if _known(estimate) else "–"


def _known(estimate: Estimate) -> bool:
    return estimate.defined and math.isfinite(estimate.value)


def size(eps: float) -> str:
    """Write the size of a perturbation: `0.2`, or `8/255` for what is short only as a fraction of 255."""
    if math.isclose(float(f"{eps:.3g}"), eps, rel_tol=1e-6):
        return f"{eps:.3g}"
    levels = eps * 255
    whole = math.isfinite(levels) and round(levels) >= 1 and math.isclose(levels, round(levels), rel_tol=1e-5)
    return f"{round(levels)}/255" if whole else f"{eps:.4g}"


def reach(threat: str, eps: float, unit: str) -> str:
    """Say what a perturber may do: `change each pixel by up to 8/255`.

    Args:
        threat: the kind of set, such as `linf` or `sphere-l2`.
        eps: its size.
        unit: what one number of the input is called, such as `pixel`.
    """
    exact = threat.startswith("sphere-")
    kind = threat.removeprefix("sphere-")
    many = f"{size(eps)} {unit}" if eps == 1 else f"{size(eps)} {unit}s"
    bound = "exactly" if exact else "up to"
    known = {
        "linf": f"change each {unit} by {bound} {size(eps)}" + (" at the largest" if exact else ""),
        "l2": f"move an input by {bound} {size(eps)} in the L2 norm",
        "l1": f"move an input by {bound} {size(eps)} in the L1 norm",
        "l0": f"change {bound} {many}",
    }
    return known.get(kind, f"act within {threat} of size {size(eps)}")


def class_name(classes: tuple[str, ...], number: Any) -> str:
    """Name a class by its number; a number without a name is `class 7`, a negative one is `no answer`."""
    place = int(number)
    if place < 0:
        return "no answer"
    return classes[place] if place < len(classes) else f"class {place}"
