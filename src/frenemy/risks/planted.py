"""Planted: put an enemy of whose place we know into every neighbourhood, and see whether the attack finds it.

The active test of Zimmermann et al. 2022 ("Increasing confidence in adversarial robustness evaluations"): an attack
that misses what is certainly there is too weak, whatever it says of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, cast, final

import numpy as np
import torch
from torch import Tensor

from frenemy.attacks.attack import Attack, Status
from frenemy.card import Card
from frenemy.data.batch import Batch
from frenemy.ledger import Arrays
from frenemy.objectives.surrogates import finite
from frenemy.risks.inquiry import Inquiry, spread
from frenemy.risks.tidy import tidied
from frenemy.risks.trust import Finding, graded
from frenemy.threats.threat import Threat, radii
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["Planted", "about_planted", "plant"]

_DRAWS: Final = 24
_GUESSES: Final = 8
_HEIGHT: Final = 0.75
_NOTHING: Final = 1e-5


@final
@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """Succeed where a linear readout of the logits is positive; each example has its own.

    Args:
        readouts: `(n, classes + 1)` weights, and what is added. The labels of the batch say which row is whose.
    """

    readouts: Tensor

    card: ClassVar[Card] = Card(
        authors="Zimmermann, Brendel, Tramer, Carlini",
        title="Increasing Confidence in Adversarial Robustness Evaluations",
        year=2022,
        venue="NeurIPS",
        link="arXiv:2206.13991",
        place="Section 4",
        deviations=(
            "the readout is of the logits, which every model has, not of the features before them",
            "it is Fisher's discriminant between the planted point and the other points, not a trained classifier",
            "a blind guess succeeds as rarely as 23 other border points let us see, not as a calibrated rate",
        ),
    )
    towards: ClassVar[bool] = False

    def goal(self, clean: Logits, y: Labels) -> Goal:
        """The readout of each row."""
        return self.readouts[y]

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """How far the readout is above zero; 1 stands for the planted point's lead over all others."""
        return (logits * goal[:, :-1]).sum(1) + goal[:, -1]

    def success(self, logits: Logits, goal: Goal) -> Flags:
        """Above zero, and finite."""
        return (self.loss(logits, goal) > 0) & finite(logits)


def plant(clean: Tensor, around: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Choose for each example the border point that stands out most, and the readout that tells it from the others.

    With $z_k$ the logits of the points less those of the input, the readout is $w = (\Sigma + \lambda I)^{-1}
    (z_p - \mu)$, with $\mu$ and $\Sigma$ the mean and the covariance of the others, and success begins three quarters
    of the way from the highest of the others to the planted point.

    Args:
        clean: `(n, classes)` logits of the inputs.
        around: `(draws, n, classes)` logits of border points; the last eight are kept out, to guess with.

    Returns:
        `(n, classes + 1)` readouts, `(n,)` whether one could be made (the logits differ enough to tell the points
        apart), and `(n,)` the share of the points kept out that succeed.
    """
    z = (around - clean).double().transpose(0, 1)
    seen, guesses = z[:, :-_GUESSES], z[:, -_GUESSES:]
    count, classes = seen.shape[1], seen.shape[2]
    middle = seen - seen.mean(1, keepdim=True)
    total = middle.transpose(1, 2) @ middle / count
    size = total.diagonal(dim1=1, dim2=2).mean(1)
    ridge = (1e-3 * size).clamp(min=1e-12)[:, None, None] * torch.eye(classes, dtype=z.dtype, device=z.device)
    odd = torch.linalg.solve(total + ridge, middle.transpose(1, 2))
    chosen = (odd.transpose(1, 2) * middle).sum(2).argmax(1)
    rows = torch.arange(len(z), device=z.device)
    planted = seen[rows, chosen]
    mean = (seen.sum(1) - planted) / (count - 1)
    rest = seen - mean[:, None]
    spread_ = rest.transpose(1, 2) @ rest - torch.einsum("ni,nj->nij", planted - mean, planted - mean)
    weights = torch.linalg.solve(spread_ / (count - 1) + ridge, (planted - mean)[:, :, None]).squeeze(2)
    score = (seen * weights[:, None]).sum(2)
    own = score[rows, chosen]
    others = score.scatter(1, chosen[:, None], -torch.inf).amax(1)
    lead = own - others
    start = others + _HEIGHT * lead
    scale = lead.clamp(min=torch.finfo(torch.float32).tiny)
    weights = weights / scale[:, None]
    offset = -(start / scale) - (weights * clean.double()).sum(1)
    able = (lead > 0) & (size.sqrt() > _NOTHING * clean.double().abs().amax(1)) & weights.isfinite().all(1)
    lucky = ((guesses * weights[:, None]).sum(2) > (start / scale)[:, None]).double().mean(1)
    return torch.cat([weights, offset[:, None]], 1).to(clean.dtype), able & offset.isfinite(), lucky


def about_planted(inquiry: Inquiry, threat: Threat, attack: Attack | None, budget: float) -> Finding:
    """Plant an enemy around a few examples, and let the attack of the audit look for it.

    Args:
        attack: one that climbs any loss.
        budget: forwards and backwards that may be spent, at least 8 examples' worth.
    """
    name = "planted enemies are missed"
    if attack is None:
        return Finding(name, "No attack here climbs a loss of our making.", "not run")
    if hasattr(attack, "early_stop"):
        attack = cast(Attack, replace(cast(Any, attack), early_stop=True))
    each = _DRAWS + 2 * getattr(attack, "steps", 0) + getattr(attack, "queries", 0)
    rows = spread(inquiry.possible(inquiry.judged, threat), max(8, int(budget / each)))

    def work() -> Arrays:
        batch = inquiry.examples.batch(torch.as_tensor(rows), inquiry.device)
        clean = torch.as_tensor(inquiry.logits[rows], device=inquiry.device)
        eps, key = radii(threat.eps, batch.x), inquiry.key.fold("planted")
        answers = []
        for draw in range(_DRAWS):
            way = key.fold(draw).normal(batch.index, tuple(batch.x.shape[1:]), batch.x.dtype)
            point = threat.retract(threat.move(batch.x, way, eps), batch.x, eps)
            if (rules := inquiry.examples.rules) is not None:
                point = tidied(point, batch.x, rules, threat)
            answers.append(inquiry.judge.clean(Batch(point, batch.y, batch.index), clean.shape[1])["logits"])
        around = torch.as_tensor(np.stack(answers), device=clean.device)
        readouts, able, lucky = plant(clean, around)
        able &= around.isfinite().all(2).all(0) & clean.isfinite().all(1)
        asked = able.nonzero().flatten()
        hunt = Batch(batch.x[asked], asked, batch.index[asked])
        found = inquiry.judge.search(hunt, clean[asked], attack, threat, Planted(readouts), key)
        outcome = found["outcome"]
        return {
            "hit": np.isin(outcome, (Status.FOUND, Status.ALREADY)),
            "lucky": lucky[asked].cpu().numpy(),
            "forwards": np.array(_DRAWS * len(rows) + int(found["forwards"].sum())),
            "backwards": np.array(int(found["backwards"].sum())),
        }

    found = inquiry.kept({"check": "planted", "rows": rows.tolist(), "attack": repr(attack)}, threat, work)
    n, missed = len(found["hit"]), int((~found["hit"]).sum())
    if not n:
        seen = "The answers around the examples are all the same, so nothing could be planted."
        return Finding(name, seen, "not run")
    seen = (
        f"In {n} neighbourhoods an enemy was planted that a blind guess meets {100 * found['lucky'].mean():.0f} % of "
        f"the time; the attack of this audit found {n - missed} and missed {missed}."
    )
    fix = (
        f"An attack that misses {100 * missed / n:.0f} % of what is certainly there is too weak for this model; its "
        "number is an upper bound at best. Give it more steps, or one that suits the model (BPDA, EOT, square)."
    )
    return Finding(name, seen, graded(missed, n, 0.03, 0.15), fix)
