"""Masking: a model with masks, audited under one after another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from frenemy.attacks.attack import Status
from frenemy.data.examples import Examples
from frenemy.data.find import load
from frenemy.errors import DataError, UsageError
from frenemy.models.masked import Worn
from frenemy.models.masks import encoded
from frenemy.models.model import Model, device_of
from frenemy.risks.audit import audit
from frenemy.risks.inquiry import Progress
from frenemy.risks.plan import plan
from frenemy.risks.sweep import Sweep
from frenemy.threats.spec import parse

__all__ = ["masking"]

_BLIND: Final = ("FGSM", "BIM", "PGD", "MIFGSM")
"""Attacks that climb a loss by plain steps: on cross-entropy alone they miss what the margin finds."""


def masking(
    model: Model,
    bases: int,
    data: Examples | str,
    *,
    shares: Sequence[float],
    threat: str = "linf:8/255",
    attacks: str | None = None,
    effort: str = "standard",
    seed: int = 0,
    batch_size: int = 128,
    out: Path | str | None = None,
    name: str | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Sweep:
    """Judge a model under the mask of each of some shares p, clean and against an enemy who sees that mask.

    Args:
        model: `Masked`, or whatever calls one.
        bases: how many it has.
        data: the examples, or what `frenemy.load` understands.
        shares: the p, each from 0 to 1.
        threat, attacks, effort, seed, batch_size: as in `audit`. PGD on cross-entropy alone is refused.
        out: run directory; a run that was killed goes on where it was.
        name: what to call the model.
        command: how to run this again, for the record.
        progress: told `(what, share of all)`.

    Returns:
        Sweep, in ascending order of p.

    Raises:
        UsageError: there is no p, PGD on cross-entropy is all that is asked for, or something else cannot be used.
        DataError: no example can be judged under every mask.

    Cost: an audit of an enemy for each p.

    References:
        004, Section 6.2.2, Table 6.2.
    """
    points = sorted(set(shares))
    if not points:
        raise UsageError("expected at least one p, got none; give such as 0, 0.5 and 1")
    masks = [encoded(p, bases) for p in points]
    examples = load(data) if isinstance(data, str) else data
    around = parse(threat, low=examples.low, high=examples.high)
    searches = plan(attacks, effort, None, {}, ("untargeted",), around).searches["untargeted"]
    if all(type(s.attack).__name__ in _BLIND and s.loss == "ce" for s in searches):
        raise UsageError(
            f"expected more than plain steps on cross-entropy, which flatter a model, got {attacks}; leave the loss "
            "out, or add apgd(loss=margin)"
        )
    told, device = progress or (lambda what, share: None), device_of(model)
    audits = []
    for place, (p, mask) in enumerate(zip(points, masks, strict=True)):

        def tell(what: str, share: float, p: float = p, place: int = place) -> None:
            told(f"p = {p:g}, {what}", (place + share) / len(points))

        audits.append(
            audit(
                Worn(model, mask.to(device)),
                examples,
                threat=threat,
                objectives=("untargeted",),
                attacks=attacks,
                effort=effort,
                curve=0,
                seed=seed,
                batch_size=batch_size,
                out=None if out is None else Path(out) / "models" / f"p-{p:g}",
                name=f"{name or 'masks'}, p = {p:g}",
                command=command,
                progress=tell,
            )
        )
    judged = np.all([found.examples["set_apart"] == "" for found in audits], axis=0)
    if not judged.any():
        raise DataError(
            f"expected an example of {examples.name} that can be judged under every mask, got none of {len(judged)}"
        )
    return Sweep(
        shares=tuple(points),
        audits=tuple(audits),
        index=audits[0].examples["index"][judged],
        right=np.stack([(one.examples["clean_answer"] == one.examples["label"])[judged] for one in audits]),
        stands=np.stack(
            [(one.examples["untargeted_outcome"] == int(Status.NOT_FOUND))[judged] for one in audits]
        ),
        settings={
            "bases": bases,
            "masks": [mask.tolist() for mask in masks],
            "data": examples.name,
            "threat": audits[0].threat,
            "attacks": [search.name for search in searches],
            "seed": seed,
        },
    )
