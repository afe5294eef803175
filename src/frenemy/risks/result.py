"""What an audit brings back: numbers, curves, pictures and caveats; no model, no torch.

Reports are made from these alone, and can be made again from what was written of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from frenemy.risks.attempt import Attempt, Cost
from frenemy.risks.estimate import Estimate

__all__ = ["Audit", "Caveat", "Check", "Curve", "Measurement", "Picture"]


@final
@dataclass(frozen=True, slots=True)
class Measurement:
    """One number: what was measured, against what, by what, and what came out.

    Args:
        measure: `accuracy_clean`, `accuracy_adversarial`, `accuracy_hypocritical`, `risk_natural`,
            `risk_adversarial`, `risk_adversarial_on_correct`, `risk_hypocritical`,
            `risk_hypocritical_changed`, `risk_reversible` or `risk_reversible_on_wrong`
            (000: Section 3, Propositions 1 and 2, Definition 3, Theorem 1).
        threat: the kind of set, such as `linf` or `sphere-l2`; `none` for clean numbers.
        eps: its size; 0 for clean numbers.
        objective: `none`, `untargeted`, `hypocritical` or `reversal`.
        attack: the attacks whose worst is taken, in words.
        estimate: value and interval.
        cost: what the search took; shared by all measurements made from the same search.
        role: `headline`; `curve` for a point of a curve; `quantised` where points were rounded first.
    """

    measure: str
    threat: str
    eps: float
    objective: str
    attack: str
    estimate: Estimate
    cost: Cost
    role: str = "headline"


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy against the size of the perturbation.

    Args:
        objective: `untargeted` (accuracy under an enemy) or `hypocritical` (accuracy under a false friend).
        kind: `largest` (anything up to eps; monotone by construction) or `exact` (the norm is eps).
        threat: the norm in words, such as `linf`.
        eps: the sizes, ascending, from 0.
        accuracy: one estimate a size.
    """

    objective: str
    kind: str
    threat: str
    eps: tuple[float, ...]
    accuracy: tuple[Estimate, ...]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One input and what became of it.

    Args:
        index, label: the example and its class number.
        objective: whose work it is: `untargeted` or `hypocritical`.
        before, after: the model's answers (class numbers) at the original and at the perturbed input.
        distance: size of the perturbation in the threat's norm.
        clean, perturbed: float32 inputs of the same shape, `(height, width)`, `(1 or 3, height, width)` or flat.
        rank: `easiest` or `hardest`, where it is shown because it is; else empty.
        attack: the search that found it; for an example that stood, the one that came nearest.
        step: the step at which the search first succeeded; -1 where it did not, or takes none.
        spare: how far beyond the border the perturbed input lies, in logits; negative if it falls short.
        least: size of the smallest perturbation known to do it; infinite if none is.
    """

    index: int
    label: int
    objective: str
    before: int
    after: int
    distance: float
    clean: NDArray[np.float32]
    perturbed: NDArray[np.float32]
    rank: str = ""
    attack: str = ""
    step: int = -1
    spare: float = math.nan
    least: float = math.inf


@final
@dataclass(frozen=True, slots=True)
class Caveat:
    """Something a reader must know before believing the numbers.

    Args:
        name: two or three words.
        text: a sentence or two: what was seen, and what to do about it.
        grade: `note`; `caution`, the numbers may be too good; `doubt`, they are not to be believed.
    """

    name: str
    text: str
    grade: str = "note"


@final
@dataclass(frozen=True, slots=True)
class Check:
    """One question about the audit itself.

    Args:
        name: that of the caveat it raises.
        question: what was asked, in words.
        state: `passed`; `note`, `caution` or `doubt`, the grade of its caveat; `not run`.
        seen: what came out, in words.
    """

    name: str
    question: str
    state: str
    seen: str


@final
@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """One model, judged.

    Args:
        model, data: their names.
        classes: class names.
        threat: the threat as it was asked, such as `linf:8/255`.
        settings: everything that decides the numbers, as plain JSON values (model, data, slice, threat, eps,
            objectives, attack, steps, restarts, seed, ...).
        versions: of frenemy, torch, numpy and Python, and the device.
        checksum: SHA-256 of the data that was judged.
        low, high: the box of the inputs (numbers, for display).
        measurements: every number, headline first.
        curves: accuracy against eps.
        pictures: a few inputs for an enemy and a few for a false friend.
        caveats: what to know before believing the numbers.
        notes: what was handled silently, in words (train mode restored, inputs clipped, ...).
        examples: one column a fact, one row an example: `index`, `label`, `clean_answer`, `set_apart` (text,
            empty if judged), and for each objective `<objective>_outcome`, `_answer`, `_attack` (the search that was
            first to do it), `_step` (at which), `_spare` (how far beyond the border, in logits), `_loss`, `_distance`,
            `_queries`.
        cost: of the whole audit.
        command: how to run it again.
        attempts: the searches at the asked eps, in the order in which they ran.
        checks: what was asked about the audit itself, and what came out.
        checking: what these took, of the whole cost.
        trust: what follows from the caveats: `ok`, `caution`, `do not trust`; empty where nothing was checked.
    """

    model: str
    data: str
    classes: tuple[str, ...]
    threat: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    checksum: str
    low: float
    high: float
    measurements: tuple[Measurement, ...]
    curves: tuple[Curve, ...]
    pictures: tuple[Picture, ...]
    caveats: tuple[Caveat, ...]
    notes: tuple[str, ...]
    examples: Mapping[str, NDArray[Any]]
    cost: Cost
    command: str
    attempts: tuple[Attempt, ...] = ()
    checks: tuple[Check, ...] = ()
    checking: Cost = Cost()
    trust: str = ""

    def __getitem__(self, measure: str) -> Estimate:
        """The headline estimate of a measure: `audit["risk_adversarial"]`."""
        for found in self.measurements:
            if found.measure == measure and found.role == "headline":
                return found.estimate
        known = ", ".join(sorted({m.measure for m in self.measurements if m.role == "headline"}))
        raise KeyError(f"no measure '{measure}' in this audit; it has {known}")
