"""Sensible risk: what an enemy reaches who may not cross the border of the rule that errs least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from frenemy.attacks.apgd import APGD
from frenemy.attacks.attack import Attack
from frenemy.attacks.pgd import PGD
from frenemy.attacks.worst_of import WorstOf
from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.models.model import Model, device_of
from frenemy.models.still import still
from frenemy.objectives.surrogates import CrossEntropy, Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.risks.allowed import Allowed, Both
from frenemy.risks.estimate import Estimate, proportion
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.types import Labels

__all__ = ["Sensible", "sensible_risk"]

_SEARCH: Final = WorstOf((PGD(steps=40, restarts=2), APGD(steps=50)))
_ROWS: Final = 512


@final
@dataclass(frozen=True, slots=True, eq=False)
class Sensible:
    """What was measured.

    Args:
        standard: share of examples on which the model errs.
        sensible: share on which it errs at the input or at a point that the reference answers rightly.
        robust: share on which it errs anywhere in the threat, as far as the same search finds.
        wrong: `(n, 3)` bool, these three for each example, in this order.
        x: `(n, *shape)` the sensible adversarial examples.
    """

    standard: Estimate
    sensible: Estimate
    robust: Estimate
    wrong: Tensor
    x: Tensor


def sensible_risk(
    model: Model,
    reference: Model,
    examples: Examples,
    *,
    threat: Threat,
    key: Key,
    attack: Attack = _SEARCH,
) -> Sensible:
    r"""Measure the sensible robust risk of a model against a rule that is, or stands for, the Bayes rule.

    $$ R^s(f) = P(f(\tilde x) \ne y), \quad \tilde x = \begin{cases} x & f^B(x) \ne y \\
       \arg\max_{z \in S(x),\ f^B(z) = y} \ell(f(z), y) & f^B(x) = y \end{cases} $$

    So standard risk <= sensible risk <= robust risk, example by example; and the sensible risk of the reference itself
    is its standard risk, exactly (Theorem 1a).

    Args:
        model, reference: any callables that give `(batch, classes)` logits; differentiable for attacks that climb.
        examples: n of them.
        threat: what the enemy may do besides.
        key: settles the search.
        attack: by default PGD (40 steps, twice) and APGD (50 steps), each on cross-entropy and on the margin.

    Raises:
        UsageError: model and reference answer with different numbers of classes.

    Cost: two searches an example, the first with both models in it.

    References:
        001, Definitions 1 and 2, Theorem 1. A search finds at most what there is: sensible and robust risk are lower
        bounds. Where the reference leaves the enemy a strip of less than eps / 25 some are missed (one of 38 examples
        of `Halves` at eps / 48, sixteen of 36 at eps / 190).
    """
    classes = len(examples.classes)
    both, device = Both(model, reference), device_of(model)
    wrong, points = [], []
    with still(both):
        for rows in torch.split(torch.arange(len(examples)), _ROWS):
            batch = examples.batch(rows, device)
            with torch.no_grad():
                answers, judged = model(batch.x), reference(batch.x)
            if answers.shape[1:] != (classes,) or judged.shape[1:] != (classes,):
                raise UsageError(
                    f"expected model and reference to give {classes} logits a row, got {tuple(answers.shape)} and "
                    f"{tuple(judged.shape)}; give both the classes of the data"
                )
            errs, movable = answers.argmax(1) != batch.y, judged.argmax(1) == batch.y
            sensible, robust, x = errs.clone(), errs.clone(), batch.x.clone()
            for surrogate in (CrossEntropy(), Margin()):
                plain = Untargeted(surrogate)
                fenced = Allowed(plain, classes, _right)
                found = attack(both, batch, threat=threat, objective=fenced, key=key)
                new = movable & ~sensible & found.success
                x[new], sensible = found.x[new], sensible | new
                robust |= attack(model, batch, threat=threat, objective=plain, key=key).success
            wrong.append(torch.stack([errs, sensible, robust | sensible], dim=1).cpu())
            points.append(x.cpu())
    told = torch.cat(wrong)
    share = [proportion(int(told[:, k].sum()), len(told)) for k in range(3)]
    return Sensible(share[0], share[1], share[2], told, torch.cat(points))


def _right(logits: Tensor, y: Labels) -> Tensor:
    """How far the reference is from another answer: above 0 where it gives the label; a tie counts as another."""
    gap = -Margin()(logits, y)
    return torch.where(gap > 0, gap, gap - torch.finfo(gap.dtype).tiny)
