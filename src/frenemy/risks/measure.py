"""The risks of 000, from what is known about each example."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from frenemy.risks.estimate import Estimate, proportion

__all__ = ["MEASURES", "measure"]

MEASURES: Mapping[str, str] = {
    "accuracy_clean": "none",
    "accuracy_adversarial": "untargeted",
    "accuracy_hypocritical": "hypocritical",
    "risk_natural": "none",
    "risk_adversarial": "untargeted",
    "risk_adversarial_on_correct": "untargeted",
    "risk_hypocritical": "hypocritical",
    "risk_hypocritical_changed": "hypocritical",
    "risk_reversible": "reversal",
    "risk_reversible_on_wrong": "reversal",
}
"""Every measure and the objective it needs."""


def measure(
    correct: NDArray[np.bool_],
    enemy: NDArray[np.bool_] | None = None,
    friend: NDArray[np.bool_] | None = None,
    changed: NDArray[np.bool_] | None = None,
    flipped: NDArray[np.bool_] | None = None,
) -> dict[str, Estimate]:
    r"""Estimate every risk that can be told from the verdicts at hand.

    With C the correct and W the wrong examples (000, Section 3):

    $$ R_{nat} = P(W), \quad R_{adv} = P(\text{enemy}), \quad \hat R_{adv} = P(\text{enemy} \mid C) $$
    $$ \hat R_{hyp} = P(\text{friend} \mid W) \le \bar R_{hyp} = P(\text{changed} \mid W)
       \le \bar{\bar R}_{hyp} = P(\text{flipped} \mid W), \quad R_{rev} = P(\text{flipped}) $$

    Args:
        correct: `(n,)` the clean answer is the label.
        enemy: `(n,)` some allowed input is answered wrongly.
        friend: `(n,)` some allowed input is answered rightly.
        changed: `(n,)` the answer at the false friend's best input differs from the clean answer.
        flipped: `(n,)` some allowed input is answered differently from the clean input.

    Returns:
        The measures whose verdicts were given, by name; a risk over no example is undefined (`Estimate.defined`).
    """
    wrong = ~correct
    found = {"accuracy_clean": _share(correct), "risk_natural": _share(wrong)}
    if enemy is not None:
        found["accuracy_adversarial"] = _share(~enemy)
        found["risk_adversarial"] = _share(enemy)
        found["risk_adversarial_on_correct"] = _share(enemy[correct])
    if friend is not None:
        found["accuracy_hypocritical"] = _share(friend)
        found["risk_hypocritical"] = _share(friend[wrong])
    if changed is not None:
        found["risk_hypocritical_changed"] = _share(changed[wrong])
    if flipped is not None:
        found["risk_reversible"] = _share(flipped)
        found["risk_reversible_on_wrong"] = _share(flipped[wrong])
    return {name: found[name] for name in MEASURES if name in found}


def _share(flags: NDArray[np.bool_]) -> Estimate:
    return proportion(int(flags.sum()), len(flags))
