"""Caveats: what a reader must know before believing the numbers, where it is cheap to find out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch

from frenemy.ledger import Arrays
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.result import Caveat
from frenemy.risks.wishes import WHO

__all__ = ["about_model", "about_sample", "about_search"]

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


def about_search(
    wish: str, searches: Sequence[tuple[str, Arrays]], steps: int, losses: Sequence[str]
) -> list[Caveat]:
    """Look at how the searches for one objective went: did gradients vanish, did success still come at the end?"""
    who, caveats = WHO[wish], []
    tried = [(loss, found) for loss, found in searches if len(found["rows"])]
    if not tried:
        return []
    first = tried[0][1]
    flat = int(first["flat"].sum())
    if flat:
        text = (
            f"For {flat} of {len(first['rows'])} examples the gradient that {who} would follow is zero. The search is "
            "blind there, and what it did not find may still exist: try another loss (margin), or an attack that "
            "needs no gradient."
        )
        caveats.append(Caveat("zero gradients", text))
    late = sum(
        int(((f["step"] >= 0) & (f["step"] % (steps + 1) > _LATE * steps)).sum())
        for _, f in tried
        if steps >= 5
    )
    if late > 0.005 * len(first["rows"]):
        text = (
            f"{late} successes of {who}, among {len(first['rows'])} examples, came in the last fifth of the steps: the "
            "attack was still improving when it stopped. Give it more steps."
        )
        caveats.append(Caveat("still improving", text))
    if wish == "untargeted" and list(losses) == ["ce"]:
        text = (
            "Only cross-entropy was searched. Models with saturated or scaled logits look robust to it when they are "
            "not: call this number accuracy under PGD, not robust accuracy, or add the margin loss."
        )
        caveats.append(Caveat("cross-entropy only", text))
    claimed = sum(int(f["claimed"].sum()) for _, f in tried)
    if claimed:
        text = (
            f"Successes of {who} that did not stand up when they were judged again in float32, on the model itself: "
            f"{claimed}. They are not counted."
        )
        caveats.append(Caveat("not confirmed", text))
    return caveats


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
