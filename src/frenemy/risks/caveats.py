"""Caveats: what the searches themselves tell about how far their numbers can be believed; nothing is asked anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from frenemy.attacks.attack import Status
from frenemy.risks.headline import Sought
from frenemy.risks.plan import Plan
from frenemy.risks.trust import Finding, graded
from frenemy.risks.wishes import WHO
from frenemy.threats.threat import Threat, meets
from frenemy.types import Inputs

__all__ = ["about_gradients", "about_plan", "about_sample", "about_search", "about_size"]

_LATE: Final = 0.8
"""Successes after this share of the steps are late."""

_BEATEN: Final = 0.002
"""Share of the examples that may fall to scores alone after gradients had failed, as in AutoAttack: 0.2 points."""


def about_plan(plan: Plan, classes: int) -> list[Finding]:
    """Say which attacks of a plan were not run, and which losses others stood in for."""
    found = []
    if plan.left_out:
        seen = (
            f"Attacks of the effort {plan.effort} that cannot search this threat were left out: "
            f"{', '.join(plan.left_out)}. The numbers are those of the others."
        )
        found.append(Finding("left out", seen, "note"))
    idle = dict.fromkeys(search.name for searches in (plan.idle or {}).values() for search in searches)
    if idle and plan.chosen:
        seen = (
            f"Searches were to see {plan.seen.value} alone, so {', '.join(idle)} were not run. Whoever sees more may "
            "find more: A is what this perturber leaves, not what every one does."
        )
        found.append(Finding("left out", seen, "note"))
    elif idle:
        seen = (
            f"No gradient flows from the model's answers to its input, so {', '.join(idle)} could not be run. The "
            f"numbers are those of attacks that see {plan.seen.value} only, which find less: A may be too high."
        )
        fix = (
            "If a step without a gradient stands before a network, wrap it in `frenemy.models.bpda.BPDA`; else give "
            "square more queries."
        )
        found.append(Finding("no gradients", seen, "caution", fix))
    every = [search for searches in plan.searches.values() for search in searches]
    stood = dict.fromkeys(search.name for search in every if search.replaced(classes))
    if stood:
        seen = (
            f"With {classes} classes the difference of logits ratio is undefined, so the margin was climbed instead "
            f"by {', '.join(stood)}."
        )
        found.append(Finding("loss replaced", seen, "note"))
    return found


def about_size(threat: Threat, x: Inputs) -> list[Finding]:
    """Say so where the threat can turn all examples into one and the same."""
    if not len(x) or not meets(threat, x):
        return []
    seen = (
        f"A perturber with eps {float(torch.as_tensor(threat.eps).max()):g} can turn every example into the middle of "
        "the box, so no model withstands it for more than one class, and A says little about this one."
    )
    fix = "Take a smaller eps; for pictures in [0, 1] it is often written as a fraction, such as linf:8/255."
    return [Finding("eps too large", seen, "note", fix)]


def about_search(wish: str, searches: Sequence[Sought], count: int) -> list[Finding]:
    """Look at how the searches for one objective went, out of `count` examples."""
    tried = [sought for sought in searches if len(sought.result["rows"])]
    if not tried or not count:
        return []
    found = [_blind(wish, tried), _still(wish, tried), *_losses(wish, tried, count)]
    climbed = [frozenset(sought.search.climbs) for sought in searches]
    if wish == "untargeted" and any(climbed):
        alone = all(losses and losses <= {"ce", "kl"} for losses in climbed)
        seen = "Only cross-entropy was searched." if alone else "Several losses were searched."
        fix = (
            "Models with saturated or scaled logits look robust to it when they are not: call this number accuracy "
            "under PGD, not robust accuracy, or add the margin loss."
        )
        found.append(Finding("cross-entropy only", seen, "caution" if alone else "", fix))
    claimed = sum(int(sought.result["claimed"].sum()) for sought in tried)
    rows = sum(len(sought.result["rows"]) for sought in tried)
    seen = f"Of the successes of {WHO[wish]} all stood up when they were judged again in float32."
    if claimed:
        seen = (
            f"Successes of {WHO[wish]} that did not stand up when they were judged again in float32, on the model "
            f"itself: {claimed}. They are not counted."
        )
    fix = "If there are many, search the model itself: `--precision float32 --fast no`."
    found.append(
        Finding("not confirmed", seen, (claimed and (graded(claimed, rows, 0.01, 1) or "note")) or "", fix)
    )
    silent = sum(
        int(
            ((s.result["step"] >= 0) & (s.result["outcome"] == Status.NOT_FOUND) & ~s.result["claimed"]).sum()
        )
        for s in tried
    )
    seen = f"{silent} searches of {WHO[wish]} met a success on their way and did not return it."
    fix = "The attack throws successes away: let it keep the best point it sees."
    found.append(Finding("silent success", seen, "doubt" if silent else "", fix))
    return found


def _blind(wish: str, tried: Sequence[Sought]) -> Finding:
    """Zero gradients: how many examples had one, and how many are left that no search had a gradient at."""
    white = [sought for sought in tried if sought.search.white]
    if not white:
        return Finding("zero gradients", "No search followed gradients.", "not run")
    rows = white[0].result["rows"]
    flat = int(white[0].result["flat"].sum())
    if not flat:
        return Finding("zero gradients", f"None of {len(rows)} gradients that {WHO[wish]} followed was zero.")
    stuck = set(rows.tolist()) - set(np.flatnonzero(tried[-1].after).tolist())
    for sought in white:
        stuck -= set(sought.result["rows"][~sought.result["flat"]].tolist())
    seen = (
        f"For {flat} of {len(rows)} examples the gradient that {WHO[wish]} would follow is zero; {len(stuck)} of them "
        "are still standing and had no other gradient."
    )
    fix = (
        "The search is blind there, and what it did not find may still exist: try another loss (margin), an attack "
        "that needs no gradient (square), or BPDA around a step that has none."
    )
    many = graded(len(stuck), len(rows), 0.002, 0.02)
    return Finding("zero gradients", seen, many or ("note" if 10 * flat < len(rows) else "caution"), fix)


def _still(wish: str, tried: Sequence[Sought]) -> Finding:
    late, rows = sum(_late(sought) for sought in tried), len(tried[0].result["rows"])
    seen = (
        f"{late} successes of {WHO[wish]}, among {rows} examples, came in the last fifth of the steps: the attack was "
        "still improving when it stopped."
    )
    if late <= 0.005 * rows:
        seen = f"{late} successes of {WHO[wish]}, among {rows} examples, came in the last fifth of the steps."
        return Finding("still improving", seen)
    return Finding("still improving", seen, graded(late, rows, 0.05, 1) or "note", "Give it more steps.")


def _losses(wish: str, tried: Sequence[Sought], count: int) -> list[Finding]:
    """The gap between cross-entropy alone, where it was searched first, and every other loss after it."""
    climbed = [sought.search.climbs for sought in tried]
    if climbed[0] != {"ce"} or not any(losses - {"ce"} for losses in climbed):
        return []
    later = sum(len(s.won) for s, losses in zip(tried, climbed) if losses - {"ce", "kl"} and s.search.white)
    seen = (
        f"After cross-entropy, other losses found {later} more successes of {WHO[wish]} among {count} examples "
        f"({100 * later / count:.1f} points)."
    )
    fix = (
        "So wide a gap is what masked gradients look like. Ask for `--effort thorough`, and do not quote any number "
        "from cross-entropy alone."
    )
    return [Finding("losses disagree", seen, graded(later, count, 0.05, 1), fix)]


def about_gradients(searches: Mapping[str, Sequence[Sought]], count: int) -> list[Finding]:
    """Look for examples that fell to an attack without gradients after those with gradients had failed (AutoAttack)."""
    found = []
    for wish, every in searches.items():
        followed: set[int] = set()
        beaten: set[int] = set()
        by = ""
        for sought in every:
            if sought.search.white:
                followed |= set(sought.result["rows"].tolist())
            else:
                by = sought.search.name
                beaten |= followed & set(sought.won.tolist())
        if not (by and followed):
            continue
        many = "1 example" if len(beaten) == 1 else f"{len(beaten) or 'No'} examples"
        seen = (
            f"{many} fell to {WHO[wish]} who sees scores only ({by}), after every attack that follows gradients "
            "had failed there."
        )
        fix = (
            "The gradients mislead, or the search along them was too short, and more may fall: give it more restarts "
            "and that attack more queries, or ask for `--effort thorough`."
        )
        grade = graded(len(beaten), count, _BEATEN, 0.01) or ("note" if beaten else "")
        found.append(Finding("gradients mislead", seen, grade, fix))
    return found


def _late(sought: Sought) -> int:
    """How many successes came in the last fifth of the steps of a search that climbs step by step."""
    steps = getattr(sought.search.attack, "steps", 0)
    if steps < 5 or not sought.search.white or sought.search.ensemble or sought.search.nearest:
        return 0
    step = sought.result["step"]
    return int(((step >= 0) & (step % (steps + 1) > _LATE * steps)).sum())


def about_sample(apart: Mapping[int, str], errors: Sequence[str], judged: NDArray[np.int64]) -> list[Finding]:
    """Say what was set apart, and whether enough is left."""
    found, n = [], len(judged)
    for why, count in sorted(Counter(apart.values()).items()):
        error = f" ({errors[-1]})" if errors and "error" in why else ""
        who = "1 example was" if count == 1 else f"{count} examples were"
        seen = f"{who} set apart because {why}{error}: neither robust nor broken."
        found.append(Finding("set apart", seen, graded(count, n + len(apart), 0.05, 1) or "note"))
    if n < 100:
        found.append(
            Finding(
                "few examples", f"Only {n} examples were judged: read the intervals, not the numbers.", "note"
            )
        )
    return found
