"""Audit: one model, one data set, one threat, and every number that 000 asks for."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import frenemy
from frenemy.attacks.pgd import PGD
from frenemy.data.examples import Examples
from frenemy.data.find import load
from frenemy.errors import UsageError, nearest
from frenemy.ledger import open_ledger
from frenemy.models.answers import Answers
from frenemy.models.files import fingerprint
from frenemy.models.model import Model, modules_of
from frenemy.objectives.surrogates import surrogate
from frenemy.risks.caveats import about_model, about_sample, about_search
from frenemy.risks.curves import grid, trace
from frenemy.risks.headline import columns, pictures, seek
from frenemy.risks.inquiry import Inquiry, Progress
from frenemy.risks.judge import Judge
from frenemy.risks.pool import OBJECTIVES, Pool
from frenemy.risks.result import Audit, Curve
from frenemy.risks.summary import curve_points, headline_points
from frenemy.risks.wishes import wish_named, wished
from frenemy.rng import Key
from frenemy.threats.spec import parse, spell
from frenemy.threats.sphere import Sphere
from frenemy.threats.threat import Threat

__all__ = ["audit"]


def audit(
    model: Model,
    data: Examples | str,
    *,
    threat: Threat | str = "linf:8/255",
    objectives: Sequence[str] = OBJECTIVES,
    losses: Sequence[str] = ("ce", "margin"),
    steps: int = 50,
    step_size: float = 0.1,
    restarts: int = 1,
    curve: int = 8,
    curve_examples: int = 500,
    seed: int = 0,
    precision: str = "float32",
    fast: bool = True,
    batch_size: int = 128,
    out: Path | str | None = None,
    name: str | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Audit:
    r"""Judge a model on data against an enemy, a false friend and anybody who wants its answer to flip.

    Each question is searched by PGD over every surrogate in `losses` (`restarts` runs of `steps` steps each), each
    search only on the examples that are still open; an example yields if any search makes it yield (mean of the worst,
    never worst of the means). Every point is judged again on the model itself, in float32, before it counts.

    Args:
        model: gives logits; any `torch.nn.Module` or callable. It is looked at in evaluation mode and left as it was.
        data: the examples, or what `frenemy.load` understands, such as `"digits"`.
        threat: what may be done to an input; words such as `"linf:8/255"` take their box from the data.
        objectives: some of `untargeted` (or `enemy`), `hypocritical` (or `friend`), `reversal`.
        losses: some of `ce`, `margin`, `kl`.
        steps, step_size, restarts: of each search; the step is a share of eps.
        curve: points of the accuracy curves from 0 to twice eps; 0 draws none.
        curve_examples: the curves are drawn from the first so many examples.
        seed: root of all randomness; the same seed gives the same numbers, whatever the batch size.
        precision: `float32`, or `bfloat16` to search in bfloat16 and confirm in float32.
        fast: use the quick float32 kernels while searching.
        batch_size: the most rows in one forward; halved by itself when memory runs out.
        out: run directory; a run that was killed goes on where it was.
        name: what to call the model; its class by default.
        command: how to run this again, for the record.
        progress: told of each finished piece of work, as `(what, share of all)`.

    Returns:
        Audit, with estimates under the names of `frenemy.risks.measure.MEASURES`.

    Raises:
        UsageError: something that was given cannot be used; the sentence says what, and the usual fix.

    Cost: per example and question at most `len(losses) * (restarts * (steps + 1) + 2)` forwards; a curve point as much
    again, once for the largest and once for the exact norm.

    Example:
        >>> import torch, frenemy
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> found = frenemy.audit(model, "digits", threat="linf:0.1", steps=5, curve=0)
        >>> found["risk_natural"].n
        360

    References:
        000, Section 3 and Appendix A.2.
    """
    examples = load(data) if isinstance(data, str) else data
    threat = parse(threat, low=examples.low, high=examples.high) if isinstance(threat, str) else threat
    wishes = tuple(dict.fromkeys(wish_named(word) for word in objectives))
    _check(precision, losses, curve, curve_examples, batch_size)
    answering = model if isinstance(model, Answers) else Answers(model)
    name = name or type(answering.model).__name__
    if isinstance(answering.model, nn.Module) and any(
        module.training for module in answering.model.modules()
    ):
        answering.note("The model was in training mode; it was judged in evaluation mode and put back.")
    attack = PGD(steps=steps, step_size=step_size, restarts=restarts)
    settings: dict[str, Any] = {
        "model": name,
        "model_sha256": fingerprint(answering),
        "data": examples.name,
        "data_sha256": examples.checksum,
        "examples": len(examples),
        "threat": f"{spell(threat)}:{_size(threat):g}",
        "objectives": list(wishes),
        "losses": list(losses),
        "attack": repr(attack),
        "curve": curve,
        "curve_examples": curve_examples,
        "seed": seed,
        "precision": precision,
        "fast": fast,
        "frenemy": frenemy.__version__,
    }
    folder = None if out is None else Path(out)
    with open_ledger(folder, settings) as ledger:
        judge = Judge(answering, fast=fast, precision=precision, batch_size=batch_size)
        device = next((str(p.device) for m in modules_of(answering) for p in m.parameters()), "cpu")
        inquiry = Inquiry(
            examples,
            judge,
            ledger,
            settings,
            Key(seed).fold("audit"),
            device,
            progress or (lambda what, share: None),
        )
        return _measured(inquiry, attack, threat, wishes, settings, answering, command)


def _measured(
    inquiry: Inquiry,
    attack: PGD,
    threat: Threat,
    wishes: Sequence[str],
    settings: Mapping[str, Any],
    model: Answers,
    command: str,
) -> Audit:
    """Search, count, and lay out what was found."""
    losses, eps, kind = settings["losses"], _size(threat), spell(threat)
    sphere = isinstance(threat, Sphere)
    around = not sphere or eps == 0
    sizes = grid(eps, settings["curve"])
    traced = [wish for wish in wishes if wish != "reversal"]
    inquiry.expect(len(wishes) * len(losses) + 2 * len(traced) * max(len(sizes) - 1, 0))
    caveats = about_model(inquiry)
    found = seek(inquiry, threat, around, wishes, losses, attack)
    curves: list[Curve] = []
    pool = Pool(inquiry.labels, inquiry.answers) if sphere else found.pool
    if sizes:
        rows = inquiry.judged
        curves = trace(
            inquiry,
            rows[rows < settings["curve_examples"]],
            sizes,
            threat.ball if isinstance(threat, Sphere) else threat,
            kind.removeprefix("sphere-"),
            replace(attack, restarts=1),
            {wish: wished(wish, losses[0]) for wish in traced},
            pool,
            {eps: found.pool} if sphere else {},
        )
    for wish, searches in found.searches.items():
        caveats += about_search(wish, searches, attack.steps, losses)
    judged = inquiry.possible(inquiry.judged, threat)
    beyond = np.setdiff1d(inquiry.judged, judged).tolist()
    inquiry.apart |= dict.fromkeys(beyond, "the threat allows no input there")
    caveats += about_sample(inquiry.apart, inquiry.judge.errors, len(judged))
    headline = headline_points(found, judged, inquiry, wishes, kind, eps, attack, losses)
    return Audit(
        model=settings["model"],
        data=settings["data"],
        classes=inquiry.examples.classes,
        threat=settings["threat"],
        settings=settings,
        versions=_versions(inquiry.device),
        checksum=settings["data_sha256"],
        low=float(torch.as_tensor(inquiry.examples.low).min()),
        high=float(torch.as_tensor(inquiry.examples.high).max()),
        measurements=(*headline, *curve_points(curves, attack)),
        curves=tuple(curves),
        pictures=pictures(inquiry, found),
        caveats=tuple(caveats),
        notes=(*inquiry.examples.notes, *model.notes),
        examples=columns(inquiry, found, around, eps),
        cost=inquiry.cost,
        command=command,
    )


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


def _check(precision: str, losses: Sequence[str], curve: int, curve_examples: int, batch_size: int) -> None:
    if precision not in ("float32", "bfloat16"):
        raise UsageError(f"unknown precision '{precision}'{nearest(precision, ['float32', 'bfloat16'])}")
    if not losses:
        raise UsageError("expected at least one loss, got none; give ce, margin or kl")
    for loss in losses:
        surrogate(loss)
    if curve < 0 or curve_examples < 1 or batch_size < 1:
        raise UsageError(
            "expected curve >= 0, curve_examples >= 1 and batch_size >= 1, "
            f"got {curve}, {curve_examples} and {batch_size}"
        )


def _versions(device: str) -> dict[str, str]:
    return {
        "frenemy": frenemy.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": device,
    }
