"""Audit: one model, one data set, one threat, and every number that 000 asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from frenemy.attacks.attack import Attack
from frenemy.card import Access
from frenemy.data.examples import Examples
from frenemy.errors import UsageError, nearest
from frenemy.ledger import open_ledger
from frenemy.models.model import Model
from frenemy.models.timed import check_limit
from frenemy.objectives.surrogates import surrogate
from frenemy.risks.conduct import conduct
from frenemy.risks.inquiry import Inquiry, Progress
from frenemy.risks.judge import Judge
from frenemy.risks.levels import check_levels
from frenemy.risks.plan import plan
from frenemy.risks.pool import OBJECTIVES
from frenemy.risks.question import access_named, likely, question
from frenemy.risks.result import Audit
from frenemy.risks.ruled import refuse_spheres
from frenemy.risks.search import Search
from frenemy.risks.wishes import wish_named
from frenemy.rng import Key
from frenemy.threats.spec import spell
from frenemy.threats.threat import Threat

__all__ = ["audit"]


def audit(
    model: Model | str,
    data: Examples | str,
    *,
    threat: Threat | str = "linf:8/255",
    objectives: Sequence[str] = OBJECTIVES,
    attacks: str | Attack | Search | Sequence[str | Attack | Search] | None = None,
    effort: str = "standard",
    losses: Sequence[str] | None = None,
    steps: int | None = None,
    step_size: float | None = None,
    restarts: int | None = None,
    queries: int | None = None,
    access: str = "gradients",
    curve: int = 8,
    curve_examples: int = 500,
    quantise: int | None = None,
    seed: int = 0,
    precision: str = "float32",
    fast: bool = True,
    batch_size: int = 128,
    time_limit: float | None = None,
    out: Path | str | None = None,
    name: str | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Audit:
    r"""Judge a model on data against an enemy, a false friend and anybody who wants its answer to flip.

    Each question is searched by attack after attack, those that climb a loss over each of `losses`, each search only
    on the examples that are still open; an example yields if any search makes it yield (mean of the worst, never worst
    of the means). Every point is judged again on the model itself, in float32, before it counts.

    | effort | searches of every question | and for an enemy |
    |---|---|---|
    | `quick` | PGD, 20 steps | |
    | `standard` | PGD, 50 steps | APGD on the margin, 50 steps; DeepFool; Square, 200 queries |
    | `thorough` | PGD, 100 steps, 5 restarts | AutoAttack |

    PGD on cross-entropy, then on the margin. A model without gradients is searched by Square alone, one that shows
    labels alone by HopSkipJump, RayS (Linf) and Sign-OPT.

    Args:
        model: gives logits; any `torch.nn.Module` or callable. It is looked at in evaluation mode and left as it was.
            Or words as on the command line: `"mlp:weights.safetensors"`, `"net.py:make"`, `"onnx:net.onnx"`.
        data: the examples, or what `frenemy.load` understands, such as `"digits"`.
        threat: what may be done to an input; words such as `"linf:8/255"` take their box from the data.
        objectives: some of `untargeted` (or `enemy`), `hypocritical` (or `friend`), `reversal`.
        attacks: run these instead, for every question: a name of the catalog, with settings and a loss in brackets if
            need be (`"pgd(steps=100,loss=margin)"`, several separated by commas); an attack such as `PGD(steps=100)`;
            or a sequence of them. What is not said of an attack is as usual for it.
        effort: `quick`, `standard` or `thorough`; without effect where attacks are given.
        losses: what is climbed: some of `ce`, `margin`, `dlr`, `kl`; cross-entropy, then the margin, by default.
        steps, step_size, restarts, queries: for every named attack that has such a setting and was not given its own;
            the step is a share of eps.
        access: what the searches see of the model: `gradients`, `scores` or `labels`; where an effort's attacks need
            more, others come instead. Attacks by labels start from other examples of the data where that helps.
        curve: points of the accuracy curves from 0 to twice eps; 0 draws none.
        curve_examples: the curves are drawn from the first so many examples.
        quantise: round the points of pictures to so many bits and judge them again; how many successes survive is said.
        seed: root of all randomness; the same seed gives the same numbers, whatever the batch size.
        precision: `float32`, or `bfloat16` to search in bfloat16 and confirm in float32.
        fast: use the quick float32 kernels while searching.
        batch_size: the most rows in one forward; halved by itself when memory runs out.
        time_limit: seconds a batch may take in the model; examples that take longer even alone are set apart.
        out: run directory; a run that was killed goes on where it was.
        name: what to call the model; its class by default.
        command: how to run this again, for the record.
        progress: told of each finished piece of work, as `(what, share of all)`.

    Returns:
        Audit, with estimates under the names of `frenemy.risks.measure.MEASURES`.

    Raises:
        UsageError: something that was given cannot be used; the sentence says what, and the usual fix.

    Cost: per example and question, the sum of the searches (for PGD and each loss `restarts * (steps + 1) + 2`
    forwards), less what falls early; a curve point as much as its first search with one start, once for the largest and
    once for the exact norm. An attack of least distance needs one run for all points of the curve by largest norm.

    Example:
        >>> import torch, frenemy
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> found = frenemy.audit(model, "digits", threat="linf:0.1", steps=5, curve=0)
        >>> found["risk_natural"].n
        360

    References:
        000, Section 3 and Appendix A.2.
    """
    asks = question(model, data, threat, name)
    examples, threat, answering = asks.examples, asks.threat, asks.model
    wishes = tuple(dict.fromkeys(wish_named(word) for word in objectives))
    _check(precision, losses, curve, curve_examples, batch_size)
    eps = _size(threat)
    refuse_spheres(examples.rules, threat)
    given = {"steps": steps, "step_size": step_size, "restarts": restarts, "queries": queries}
    given = {word: value for word, value in given.items() if value is not None}
    answering.access = wanted = access_named(access)
    shown = answering.shown
    searches = plan(
        attacks,
        effort,
        losses,
        given,
        wishes,
        threat,
        tuple(examples.x.shape[1:]),
        len(examples.classes),
        shown,
        chosen=shown is wanted,
    )
    check_limit(time_limit)
    answering.limit, answering.soft = time_limit, False
    if isinstance(answering.model, nn.Module) and any(
        module.training for module in answering.model.modules()
    ):
        answering.note("The model was in training mode; it was judged in evaluation mode and put back.")
    judge = Judge(answering, fast=fast, precision=precision, batch_size=batch_size)
    if shown is Access.GRADIENTS and not judge.sloped(examples.batch(slice(0, 1), asks.device)):
        searches = searches.seeing(Access.SCORES, threat, given)
    judge.rules, judge.bits = examples.rules, quantise
    if quantise is not None:
        check_levels(quantise, examples)
    if searches.starts:
        judge.others = likely(examples)
    settings: dict[str, Any] = asks.identity() | {
        "threat": spell(threat) if hasattr(threat, "count") else f"{spell(threat)}:{eps:g}",
        "objectives": list(wishes),
        "effort": searches.effort or "as asked",
        "attacks": searches.told(),
        "curve": curve,
        "curve_examples": curve_examples,
        "seed": seed,
        "access": wanted.value,
        "precision": precision,
        "fast": fast,
        **({} if quantise is None else {"quantise": quantise}),
    }
    key, told = Key(seed).fold("audit"), progress or (lambda what, share: None)
    with open_ledger(None if out is None else Path(out), settings) as ledger:
        inquiry = Inquiry(examples, judge, ledger, settings, key, asks.device, told)
        return conduct(inquiry, searches, threat, eps, settings, answering, command)


def _size(threat: Threat) -> float:
    """The one eps of a threat.

    Raises:
        UsageError: every example has its own; an audit speaks of one size.
    """
    if isinstance(threat.eps, torch.Tensor) and threat.eps.ndim:
        raise UsageError(
            f"expected one eps for an audit, got {threat.eps.numel()}; audit each size on its own, or call the attack"
        )
    return float(threat.eps)


def _check(
    precision: str, losses: Sequence[str] | None, curve: int, curve_examples: int, batch_size: int
) -> None:
    if precision not in ("float32", "bfloat16"):
        raise UsageError(f"unknown precision '{precision}'{nearest(precision, ['float32', 'bfloat16'])}")
    for loss in losses or ():
        surrogate(loss)
    if curve < 0 or curve_examples < 1 or batch_size < 1:
        raise UsageError(
            "expected curve >= 0, curve_examples >= 1 and batch_size >= 1, "
            f"got {curve}, {curve_examples} and {batch_size}"
        )
