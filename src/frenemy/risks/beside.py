"""Beside: what a model answers at random points beside the inputs, and a small step up its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frenemy.attacks.slope import slope
from frenemy.card import Access
from frenemy.data.batch import Batch
from frenemy.ledger import Arrays
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.surrogates import Margin
from frenemy.risks.inquiry import Inquiry, spread
from frenemy.risks.tidy import tidied
from frenemy.risks.trust import Finding, graded, percent
from frenemy.risks.wishes import WHO
from frenemy.threats.threat import Threat, radii

__all__ = ["about_gradient", "about_noise"]

_DRAWS: Final = 4
_STEP: Final = 0.01


@final
class _Around:
    """Answers at a few random points of the threat around some rows, kept in the ledger."""

    def __init__(self, inquiry: Inquiry, threat: Threat, count: int) -> None:
        self.rows = spread(inquiry.possible(inquiry.judged, threat), count)
        found = inquiry.kept(
            {"check": "noise", "rows": self.rows.tolist()}, threat, lambda: self._ask(inquiry, threat)
        )
        self.logits = torch.as_tensor(found["logits"])
        self.clean = torch.as_tensor(inquiry.logits[self.rows])
        self.labels = torch.as_tensor(inquiry.labels[self.rows])

    def _ask(self, inquiry: Inquiry, threat: Threat) -> Arrays:
        batch = inquiry.examples.batch(torch.as_tensor(self.rows), inquiry.device)
        eps, key = radii(threat.eps, batch.x), inquiry.key.fold("noise")
        points = [threat.sample(batch.x, batch.index, key.fold(k), eps) for k in range(_DRAWS)]
        if (rules := inquiry.examples.rules) is not None:
            points = [tidied(x, batch.x, rules, threat) for x in points]
        parts = [inquiry.judge.clean(Batch(x, batch.y, batch.index), inquiry.logits.shape[1]) for x in points]
        return {
            "logits": np.stack([part["logits"] for part in parts]),
            "forwards": np.array(_DRAWS * len(batch)),
            "backwards": np.array(0),
        }


def about_noise(
    inquiry: Inquiry, threat: Threat, known: Mapping[str, NDArray[np.bool_]], count: int
) -> list[Finding]:
    """Random points of the threat, as a baseline for the search (Carlini et al. 2019) and for smoothness.

    The second is indicator I2 of Pintor et al. 2022, unstable predictions, on the margin instead of the loss:
    `min(1, |m(x') - m(x)| / |m(x)|)`, its mean over points and examples. The margin of a confident model does not come
    close to zero as its cross-entropy does.

    Args:
        known: by objective, `(n,)` the examples that yield to the search.
        count: rows to look at, at most; 4 forwards each.
    """
    around = _Around(inquiry, threat, count)
    answers, findings = around.logits.argmax(2), []
    sound = around.logits.isfinite().all(2)
    for wish in ("untargeted", "hypocritical"):
        if wish not in known:
            continue
        hit = (answers != around.labels) if wish == "untargeted" else (answers == around.labels)
        left = ~torch.as_tensor(known[wish][around.rows])
        beaten, n = int(((hit & sound).any(0) & left).sum()), int(left.sum())
        start = around.clean.argmax(1) == around.labels
        open_ = (start if wish == "untargeted" else ~start) & sound.all(0)
        share = float(hit[:, open_].double().mean()) if bool(open_.any()) else 0.0
        seen = (
            f"Random points succeed for {WHO[wish]} at {percent(share)} of {int(open_.sum())} examples; of {n} that "
            f"stood up to the search, {beaten} fell to one of {_DRAWS} random points."
        )
        fix = "A search that random guessing beats is no search: its number means nothing."
        findings.append(
            Finding(
                "noise beats the search",
                seen,
                "doubt" if beaten > 0.02 * n and beaten > 1 else "caution" if beaten else "",
                fix,
            )
        )
    if inquiry.judge.model.shown is Access.LABELS:
        seen = "Labels alone have no margin that could change."
        return [*findings, Finding("unstable answers", seen, "not run")]
    before = Margin()(around.clean, around.labels)
    after = torch.stack([Margin()(part, around.labels) for part in around.logits])
    ratio = ((after - before).abs() / before.abs().clamp(min=1e-12)).clamp(max=1)
    moved = float(ratio.nan_to_num(1).mean()) if ratio.numel() else 0.0
    seen = f"Random points of the threat change the margin by {percent(moved)} of itself on average."
    fix = (
        "Gradients of so rough a model say little about its neighbourhood: average over noise (EOT), or search "
        "without gradients."
    )
    return [*findings, Finding("unstable answers", seen, "caution" if moved > 0.5 else "", fix)]


def about_gradient(inquiry: Inquiry, threat: Threat, count: int) -> Finding:
    r"""Step a hundredth of eps up the gradient of the margin, and compare what happens with what it says.

    $$ \operatorname{median}_i \frac{|m(x_i + d_i) - m(x_i) - \langle \nabla m(x_i), d_i \rangle|}
       {\max(|m(x_i + d_i) - m(x_i)|, |\langle \nabla m(x_i), d_i \rangle|)} $$

    is near 0 for the gradient of the model, and 1 for one that has nothing to do with it. Examples without a gradient
    are left out; they are counted elsewhere.

    Args:
        count: rows to look at, at most; 2 forwards and a backward each.
    """
    name = "gradients do not predict"
    rows = spread(inquiry.possible(inquiry.judged, threat), count)

    def work() -> Arrays:
        whole = inquiry.examples.batch(torch.as_tensor(rows), inquiry.device)
        parts = torch.split(torch.arange(len(whole), device=whole.x.device), inquiry.judge.batch_size)
        with torch.inference_mode(False), torch.enable_grad(), still(inquiry.judge.model):
            columns = torch.cat(
                [_predicted(inquiry.judge.model, whole.rows(part), threat) for part in parts], 1
            )
        words = dict(zip(("told", "seen", "scale"), columns.cpu().numpy()))
        return words | {"forwards": np.array(2 * len(whole)), "backwards": np.array(len(whole))}

    try:
        found = inquiry.kept({"check": "gradient", "rows": rows.tolist()}, threat, work)
    except Exception as error:
        return Finding(name, f"The model raised {type(error).__name__} when asked.", "not run")
    told, seen, scale = found["told"], found["seen"], found["scale"]
    clear = np.isfinite(told) & np.isfinite(seen) & (np.abs(told) > 1e-4 * np.maximum(scale, 1e-3))
    if not clear.any():
        return Finding(name, "No gradient was large enough to compare.", "not run")
    off = np.abs(seen - told)[clear] / np.maximum(np.abs(seen), np.abs(told))[clear]
    wrong = int((off > 0.5).sum())
    text = (
        f"A small step up the gradient changes the margin as it says, but for {percent(float(np.median(off)))} "
        f"(median of {int(clear.sum())}; more than half is missing at {wrong})."
    )
    fix = (
        "The gradient is not that of the model (a straight-through step, rounding, noise, a detached branch): attacks "
        "that follow it are blind. Search with scores alone (square), or with BPDA."
    )
    return Finding(name, text, graded(wrong, int(clear.sum()), 0.1, 0.4), fix)


def _predicted(model: Model, batch: Batch, threat: Threat) -> Tensor:
    """What the gradient of the margin says of a small step, what the step does, and the margin: `(3, batch)`."""
    x = batch.x.clone().requires_grad_()
    height = Margin()(model(x), batch.y)
    gradient = slope(height, x)
    with torch.no_grad():
        moved = threat.move(batch.x, gradient, _STEP * radii(threat.eps, batch.x))
        told = ((moved - batch.x) * gradient).flatten(1).sum(1)
        done = Margin()(model(moved), batch.y) - height
    return torch.stack([told, done, height.abs()]).detach().double()
