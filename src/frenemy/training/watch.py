"""Watch: how the model does on what was held out, which epoch is best, and what has gone wrong."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import nn

from frenemy.attacks.best import look
from frenemy.attacks.pgd import PGD
from frenemy.data.examples import Examples
from frenemy.models.fast import Fast
from frenemy.models.still import still
from frenemy.objectives.surrogates import Margin
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat
from frenemy.training.engine import Engine

__all__ = ["Check", "alarms", "check"]

_CHUNK: Final = 256
_ONE_ANSWER: Final = 0.98
_FALL: Final = 0.2
_OVERFIT: Final = 0.05


@final
@dataclass(frozen=True, slots=True)
class Check:
    """Accuracies on the held-out examples.

    Args:
        clean: share answered rightly.
        robust: share that a short PGD on the margin leaves standing: good for choosing an epoch, not a number to quote.
        top: share of the commonest answer.
    """

    clean: float
    robust: float
    top: float


def check(model: nn.Module, held: Examples, *, threat: Threat, steps: int, key: Key, where: Engine) -> Check:
    """Judge a model; several processes share the examples.

    Args:
        model: held still meanwhile.
        held: at least one example.
        threat: with an eps of 0 the robust accuracy is the clean one.
        steps: of PGD, each 2.5 eps / steps long.
        key: the same at each epoch, so that epochs are compared under the same starts.
        where: the processes.
    """
    attack = PGD(steps=steps, step_size=min(2.5 / steps, 1.0))
    counts = torch.zeros(2 + len(held.classes), device=where.device)
    still_eps = not torch.as_tensor(threat.eps).any()
    with still(model):
        for rows in torch.split(where.mine(torch.arange(len(held))), _CHUNK):
            batch = held.batch(rows, where.device)
            answer = look(Fast(model), batch.x, None).argmax(1)
            right = answer == batch.y
            counts[0] += right.sum()
            counts[2:] += torch.bincount(answer, minlength=len(held.classes))[: len(held.classes)]
            stands = batch.rows(right)
            if still_eps or not len(stands):
                counts[1] += right.sum()
                continue
            found = attack(Fast(model), stands, threat=threat, objective=Untargeted(Margin()), key=key)
            counts[1] += (~found.success).sum()
    shares = where.summed(counts) / len(held)
    return Check(float(shares[0]), float(shares[1]), float(shares[2:].max()))


def alarms(history: Sequence[dict[str, Any]], most: float) -> list[str]:
    """Say what has gone wrong, from the log of the epochs.

    Args:
        history: one entry an epoch, with `clean`, `robust`, `top` where there was a check.
        most: share of the commonest class among the held-out examples.
    """
    seen = [entry for entry in history if entry.get("robust") is not None]
    if not seen:
        return []
    said = []
    last = seen[-1]
    if last["top"] > max(_ONE_ANSWER, most):
        said.append(
            f"collapse: in epoch {last['epoch']} the model gives one answer to {last['top']:.0%} of the held-out "
            "examples; let eps grow (warm_up), take a larger model or a lower rate"
        )
    for before, after in itertools.pairwise(seen):
        if before["robust"] - after["robust"] > _FALL:
            said.append(
                f"catastrophic overfitting: robust accuracy fell from {before['robust']:.1%} to {after['robust']:.1%} "
                f"in epoch {after['epoch']}; take more attack steps, a smaller step, or guard=0.2"
            )
            break
    best = max(seen, key=lambda entry: entry["robust"])
    if best is not last and best["robust"] - last["robust"] > _OVERFIT:
        said.append(
            f"robust overfitting: robust accuracy was {best['robust']:.1%} after epoch {best['epoch']} and is "
            f"{last['robust']:.1%} after epoch {last['epoch']}; the best epoch is kept unless select is last"
        )
    return said
