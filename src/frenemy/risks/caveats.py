"""Caveats: what a reader must know before believing the numbers, where it is cheap to find out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch

from frenemy.risks.headline import Sought
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.plan import Plan
from frenemy.risks.result import Caveat
from frenemy.risks.wishes import WHO

__all__ = ["about_gradients", "about_model", "about_plan", "about_sample", "about_search"]

_LATE = 0.8
"""Successes after this share of the steps are late."""


def about_model(inquiry: Inquiry) -> list[Caveat]:
    """Ask the model the same thing again, and look at what its answers look like (AutoAttack's cheap checks)."""
    rows = inquiry.judged[:32]
    caveats = []
    batch = inquiry.examples.batch(torch.as_tensor(rows), inquiry.device)
    second = inquiry.judge.clean(batch)
    answered = ~second["broken"]
    logits = torch.as_tensor(inquiry.logits[rows[answered]])
    again = torch.as_tensor(second["logits"][answered])
    if len(logits) and not torch.allclose(logits, again, rtol=1e-3, atol=1e-4):
        share = (logits.argmax(1) != again.argmax(1)).float().mean()
        text = (
            f"Asked the same thing twice, the model answers differently ({100 * share:.0f} % of labels changed). "
            "Attacks and verdicts are then partly luck: the numbers here are not reliable. Remove the randomness for "
            "the audit, or average over it."
        )
        caveats.append(Caveat("random answers", text))
    if len(logits) > 1 and bool((logits == logits[0]).all()):
        text = (
            "The model gives the same answer, number for number, whatever the input: nobody can change it, and that is "
            "no robustness."
        )
        caveats.append(Caveat("constant answers", text))
    sums = logits.sum(1)
    if len(logits) and bool(
        ((sums - 1).abs() < 1e-4).all() and (logits >= -1e-6).all() and (logits <= 1 + 1e-6).all()
    ):
        text = (
            "The model returns probabilities instead of logits. Their gradients vanish where the model is confident, "
            "so attacks come out weaker than they are. Give the model without its last softmax."
        )
        caveats.append(Caveat("probabilities", text))
    return caveats


def about_plan(plan: Plan, classes: int) -> list[Caveat]:
    """Say which attacks of a plan were not run, and which losses others stood in for."""
    caveats = []
    if plan.left_out:
        text = (
            f"Attacks of the effort {plan.effort} that cannot search this threat were left out: "
            f"{', '.join(plan.left_out)}. The numbers are those of the others."
        )
        caveats.append(Caveat("left out", text))
    idle = dict.fromkeys(search.name for found in (plan.idle or {}).values() for search in found)
    if idle:
        text = (
            f"No gradient flows from the model's answers to its input, so {', '.join(idle)} could not be run. The "
            "numbers are those of attacks that see scores only, which find less: A may be too high."
        )
        caveats.append(Caveat("no gradients", text))
    every = [search for found in plan.searches.values() for search in found]
    stood = dict.fromkeys(search.name for search in every if search.replaced(classes))
    if stood:
        text = (
            f"With {classes} classes the difference of logits ratio is undefined, so the margin was climbed instead "
            f"by {', '.join(stood)}."
        )
        caveats.append(Caveat("loss replaced", text))
    return caveats


def about_search(wish: str, searches: Sequence[Sought]) -> list[Caveat]:
    """Look at how the searches for one objective went: did gradients vanish, did success still come at the end?"""
    who, caveats = WHO[wish], []
    tried = [sought for sought in searches if len(sought.result["rows"])]
    if not tried:
        return []
    white = [sought for sought in tried if sought.search.white]
    if white and (flat := int(white[0].result["flat"].sum())):
        text = (
            f"For {flat} of {len(white[0].result['rows'])} examples the gradient that {who} would follow is zero. The "
            "search is blind there, and what it did not find may still exist: try another loss (margin), or an attack "
            "that needs no gradient (square)."
        )
        caveats.append(Caveat("zero gradients", text))
    late = sum(_late(sought) for sought in tried)
    if late > 0.005 * len(tried[0].result["rows"]):
        text = (
            f"{late} successes of {who}, among {len(tried[0].result['rows'])} examples, came in the last fifth of the "
            "steps: the attack was still improving when it stopped. Give it more steps."
        )
        caveats.append(Caveat("still improving", text))
    climbed = {frozenset(sought.search.climbs) for sought in searches}
    if wish == "untargeted" and all(losses and losses <= {"ce", "kl"} for losses in climbed):
        text = (
            "Only cross-entropy was searched. Models with saturated or scaled logits look robust to it when they are "
            "not: call this number accuracy under PGD, not robust accuracy, or add the margin loss."
        )
        caveats.append(Caveat("cross-entropy only", text))
    claimed = sum(int(sought.result["claimed"].sum()) for sought in tried)
    if claimed:
        text = (
            f"Successes of {who} that did not stand up when they were judged again in float32, on the model itself: "
            f"{claimed}. They are not counted."
        )
        caveats.append(Caveat("not confirmed", text))
    return caveats


def about_gradients(searches: Mapping[str, Sequence[Sought]]) -> list[Caveat]:
    """Look for examples that fell to an attack without gradients after those with gradients had failed (AutoAttack)."""
    caveats = []
    for wish, every in searches.items():
        followed: set[int] = set()
        beaten: set[int] = set()
        by = ""
        for sought in every:
            if sought.search.white:
                followed |= set(sought.result["rows"].tolist())
            elif won := followed & set(sought.won.tolist()):
                beaten, by = beaten | won, sought.search.name
        if beaten:
            many = "1 example" if len(beaten) == 1 else f"{len(beaten)} examples"
            text = (
                f"{many} fell to {WHO[wish]} who sees scores only ({by}), after every attack that follows gradients "
                "had failed there. The gradients mislead, or the search along them was too short, and more may fall: "
                "give it more restarts and that attack more queries, or ask for --effort thorough."
            )
            caveats.append(Caveat("gradients mislead", text))
    return caveats


def _late(sought: Sought) -> int:
    """How many successes came in the last fifth of the steps of a search that climbs step by step."""
    steps = getattr(sought.search.attack, "steps", 0)
    if steps < 5 or not sought.search.white or sought.search.ensemble or sought.search.nearest:
        return 0
    step = sought.result["step"]
    return int(((step >= 0) & (step % (steps + 1) > _LATE * steps)).sum())


def about_sample(apart: Mapping[int, str], errors: Sequence[str], n: int) -> list[Caveat]:
    """Say what was set apart, and whether enough is left."""
    caveats = []
    for why, count in sorted(Counter(apart.values()).items()):
        error = f" ({errors[-1]})" if errors and "error" in why else ""
        who = "1 example was" if count == 1 else f"{count} examples were"
        text = f"{who} set apart because {why}{error}: neither robust nor broken."
        caveats.append(Caveat("set apart", text))
    if n < 100:
        text = f"Only {n} examples were judged: read the intervals, not the numbers."
        caveats.append(Caveat("few examples", text))
    return caveats
