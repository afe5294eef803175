"""Scrutiny: every question about an audit that costs something, within a share of what the audit itself cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from frenemy.risks.again import about_length, about_room, about_single_step, climber
from frenemy.risks.beside import about_gradient, about_noise
from frenemy.risks.estimate import Estimate
from frenemy.risks.headline import Headline
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.plan import Plan
from frenemy.risks.planted import about_planted
from frenemy.risks.steady import about_state
from frenemy.risks.trust import Finding
from frenemy.threats.threat import Threat

__all__ = ["STAGES", "about_handover", "about_risks", "scrutinise"]

STAGES: Final = 3
"""Searches made here for each objective."""

_SHARE: Final = 0.015
"""What each of the two dear checks may cost, for all objectives together, as a share of the audit's rows."""

_ROWS: Final = 32


def scrutinise(inquiry: Inquiry, plan: Plan, threat: Threat, found: Headline, eps: float) -> list[Finding]:
    """Ask the model and the searches again, in small.

    The same questions are asked of the numbers of an enemy and of a false friend; the reversal has no searches of its
    own kind, and none here. What is found here changes no number of the audit.
    """
    if not len(inquiry.possible(inquiry.judged, threat)):
        inquiry.done()
        return []
    spent = inquiry.cost.forwards + inquiry.cost.backwards
    wishes = [wish for wish in ("untargeted", "hypocritical") if wish in plan.searches]
    known = {wish: found.pool.known(wish, eps) for wish in wishes}
    findings = about_noise(inquiry, threat, known, _ROWS)
    sloped = any(sought.search.white for searches in found.searches.values() for sought in searches)
    if sloped:
        findings.append(about_gradient(inquiry, threat, _ROWS))
    for wish in wishes:
        findings.append(about_single_step(inquiry, threat, found, wish, 2 * _ROWS))
        findings.append(about_room(inquiry, threat, found, wish, _ROWS // 2))
        findings.append(about_length(inquiry, threat, found, plan, wish, _SHARE * spent / len(wishes)))
    first = next(iter(plan.searches))
    findings.append(about_planted(inquiry, threat, climber(plan, first, threat), _SHARE * spent))
    findings.append(about_state(inquiry))
    inquiry.done()
    return findings


def about_risks(numbers: Mapping[str, Estimate], around: bool) -> list[Finding]:
    r"""See that the measured risks satisfy what 000 proves of them.

    $$ R_{adv} = R_{nat} + (1 - R_{nat}) R_{adv|correct}, \quad F = D + R_{nat} R_{hyp}, \quad
       R_{rev} = (1 - R_{nat}) R_{adv|correct} + R_{nat} R_{rev|wrong} $$

    (Propositions 1 and 2, Theorem 1), and `A <= D <= F`. On a sphere, which does not hold the input, they need not.
    """
    name = "risks contradict"
    if not around:
        return [Finding(name, "On a sphere, which does not hold the input itself, they need not.", "not run")]
    values = {
        word: 0.0 if math.isnan(estimate.value) else estimate.value for word, estimate in numbers.items()
    }
    wrong = values["risk_natural"]
    enemy = (1 - wrong) * values.get("risk_adversarial_on_correct", 0.0)
    sides = {
        "risk_adversarial": wrong + enemy,
        "accuracy_hypocritical": values["accuracy_clean"] + wrong * values.get("risk_hypocritical", 0.0),
        "risk_reversible": enemy + wrong * values.get("risk_reversible_on_wrong", 0.0),
    }
    if "risk_adversarial" not in values:
        del sides["risk_reversible"]
    asked = [word for word in sides if word in values]
    off = [word for word in asked if not math.isclose(values[word], sides[word], abs_tol=1e-9)]
    seen = f"{len(asked) - len(off)} of {len(asked)} identities hold."
    fix = f"A fault of this program ({', '.join(off)}): please report it." if off else ""
    return [Finding(name, seen, "doubt" if off else "", fix)]


def about_handover(notes: Sequence[str]) -> list[Finding]:
    """Say whether the model came in training mode: what was measured of it elsewhere was of another model."""
    came = any("training mode" in note for note in notes)
    seen = "The model was in training mode." if came else "The model was in evaluation mode, or has no modes."
    fix = (
        "It was judged in evaluation mode; numbers taken of it with dropout or batch statistics at work are of another "
        "model."
    )
    return [Finding("training mode", seen, "caution" if came else "", fix)]
