"""Steady: does a model answer the same when it is asked again, in other company, and after the attacks?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from frenemy.data.batch import Batch
from frenemy.models.still import still
from frenemy.risks.attempt import Cost
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.trust import Finding, percent

__all__ = ["about_answers", "about_state"]

_SAME: Final = 1e-4
"""Answers whose directions are farther apart than this are not the same (AutoAttack's test for random models)."""


def about_answers(inquiry: Inquiry) -> list[Finding]:
    """Ask the same again, and one by one in other batches; look at what the answers look like; watch one forward.

    Random, batch, softmax and dynamic answers are AutoAttack's cheap checks; theirs for the last replaces the tracer of
    the process, ours sees the calls of torch alone.
    """
    rows = inquiry.judged[:32]
    batch = inquiry.examples.batch(torch.as_tensor(rows), inquiry.device)
    first = _ask(inquiry, batch)
    apart, turned = _compare(first, _ask(inquiry, batch))
    findings = []
    seen = f"Asked the same thing twice, the model changed {percent(turned)} of its labels."
    if apart:
        seen = (
            f"Asked the same thing twice, the model answers differently ({percent(turned)} of labels changed). "
            "Attacks and verdicts are then partly luck: the numbers here are not reliable."
        )
    fix = "Remove the randomness for the audit, or average over it (`frenemy.models.eot.EOT`)."
    findings.append(Finding("random answers", seen, "doubt" if apart else "", fix))
    if not apart:
        parts = [batch.rows(part) for part in (slice(0, 1), slice(1, 4), slice(4, len(batch)))]
        apart, turned = _compare(first, torch.cat([_ask(inquiry, part) for part in parts]))
        seen = f"In batches of other sizes {percent(turned)} of the labels changed."
        fix = "An example's answer must not depend on its neighbours: fix the model's batch statistics."
        findings.append(Finding("answers depend on the batch", seen, "doubt" if apart else "", fix))
    logits = first[first.isfinite().all(1)]
    if len(logits) > 1:
        constant = bool((logits == logits[0]).all())
        seen = "The model's answers differ from input to input."
        if constant:
            seen = "The model gives the same answer, number for number, whatever the input: nobody can change it."
        findings.append(
            Finding("constant answers", seen, "caution" if constant else "", "That is no robustness.")
        )
    if len(logits):
        soft, seen = inquiry.judge.model.soft, "The model returns logits."
        if soft:
            seen = (
                "The model returns probabilities instead of logits. Their logarithm was searched, which leads wherever "
                "no probability is rounded to 0 or 1; where one is, attacks come out weaker than they are."
            )
        fix = "Give the model without its last softmax."
        findings.append(Finding("probabilities", seen, "caution" if soft else "", fix))
    return [*findings, _dynamic(inquiry, batch)]


def about_state(inquiry: Inquiry) -> Finding:
    """Ask once more, after all attacks."""
    rows = inquiry.judged[:32]
    batch = inquiry.examples.batch(torch.as_tensor(rows), inquiry.device)
    apart, turned = _compare(torch.as_tensor(inquiry.logits[rows]), _ask(inquiry, batch))
    seen = f"After the attacks {percent(turned)} of the labels are not what they were before."
    fix = (
        "The model keeps something from call to call: no two numbers are of the same model. Freeze its state."
    )
    return Finding("the model changed", seen, "doubt" if apart else "", fix)


def _ask(inquiry: Inquiry, batch: Batch) -> Tensor:
    """Logits of a batch, NaN where the model raises; asked anew by every run, so that no time is kept of it."""
    inquiry.cost += Cost(len(batch))
    return torch.as_tensor(inquiry.judge.clean(batch, inquiry.logits.shape[1])["logits"])


def _compare(before: Tensor, after: Tensor) -> tuple[bool, float]:
    """Whether two answers differ anywhere that both are finite, and at which share of the examples the label does."""
    sound = before.isfinite().all(1) & after.isfinite().all(1)
    before, after = before[sound], after[sound]
    if not len(before):
        return False, 0.0
    size = before.norm(dim=1).clamp(min=torch.finfo(before.dtype).tiny)
    apart = bool(((after - before).norm(dim=1) > _SAME * size).any())
    return apart, float((before.argmax(1) != after.argmax(1)).float().mean())


class _Watch(TorchFunctionMode):
    """Sees whether a gradient is asked for while it is open, in this thread."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.asked |= func in (torch.autograd.grad, torch.autograd.backward, Tensor.backward)
        return func(*args, **(kwargs or {}))


def _dynamic(inquiry: Inquiry, batch: Batch) -> Finding:
    watch = _Watch()
    try:
        with torch.inference_mode(False), torch.enable_grad(), still(inquiry.judge.model), watch:
            inquiry.judge.model(batch.x[:2].clone())
    except Exception as error:
        return Finding(
            "optimises in its forward", f"The model raised {type(error).__name__} when watched.", "not run"
        )
    seen = f"The model {'takes' if watch.asked else 'takes no'} gradients while it answers."
    fix = (
        "Attacks here see through one answer, not through the optimisation inside it: attack with an adaptive search "
        "of your own, or audit the model without it."
    )
    return Finding("optimises in its forward", seen, "doubt" if watch.asked else "", fix)
