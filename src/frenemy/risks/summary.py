"""Summary: verdicts turned into named measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frenemy.attacks.pgd import PGD
from frenemy.risks.headline import Headline
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.measure import MEASURES, measure
from frenemy.risks.result import Cost, Curve, Measurement

__all__ = ["curve_points", "headline_points"]


def headline_points(
    found: Headline,
    judged: NDArray[np.int64],
    inquiry: Inquiry,
    wishes: Sequence[str],
    kind: str,
    eps: float,
    attack: PGD,
    losses: Sequence[str],
) -> list[Measurement]:
    """Turn verdicts into measurements at the asked eps."""
    known = {wish: found.pool.known(wish, eps)[judged] for wish in wishes}
    correct = (inquiry.answers == inquiry.labels)[judged]
    friend = known.get("hypocritical")
    estimates = measure(
        correct,
        enemy=known.get("untargeted"),
        friend=friend,
        changed=None if friend is None else found.changed[judged] | (friend & ~correct),
        flipped=known.get("reversal"),
    )
    what = f"PGD-{attack.steps} x {attack.restarts} on {', '.join(losses)}; worst of all"
    return [
        Measurement(
            measure=name,
            threat="none" if MEASURES[name] == "none" else kind,
            eps=0.0 if MEASURES[name] == "none" else eps,
            objective=MEASURES[name],
            attack="none" if MEASURES[name] == "none" else what,
            estimate=estimate,
            cost=found.costs.get(MEASURES[name], Cost(len(judged))),
        )
        for name, estimate in estimates.items()
    ]


def curve_points(curves: Sequence[Curve], attack: PGD) -> list[Measurement]:
    """Turn the points of the curves into measurements."""
    names = {"untargeted": "accuracy_adversarial", "hypocritical": "accuracy_hypocritical"}
    return [
        Measurement(
            measure=names[curve.objective],
            threat=curve.threat if curve.kind == "largest" else f"sphere-{curve.threat}",
            eps=eps,
            objective=curve.objective,
            attack=f"PGD-{attack.steps}; worst of all at this eps and below",
            estimate=estimate,
            cost=Cost(),
            role="curve",
        )
        for curve in curves
        for eps, estimate in zip(curve.eps, curve.accuracy)
    ]
