"""Train one model of a table, and judge it by each of some searches alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from frenemy.data.examples import Examples
    from frenemy.risks.estimate import Estimate
    from frenemy.threats.threat import Threat
    from frenemy.training.fit import Fitted
    from frenemy.training.regime import Regime


def trained(
    method: str,
    model: nn.Module,
    examples: Examples,
    *,
    seed: int,
    threat: Threat,
    regime: Regime,
    out: Path,
    device: str = "cpu",
) -> Fitted:
    """Train on one thread; what was stopped in `out` goes on there."""
    import torch

    import frenemy
    from frenemy.training.engine import Engine
    from frenemy.training.fit import fit
    from frenemy.training.named import recipe

    torch.set_num_threads(1)
    return fit(
        recipe(method),
        model,
        examples,
        key=frenemy.Key(seed).fold("training"),
        threat=threat,
        regime=regime,
        out=out,
        engine=Engine(torch.device(device)),
    )


def judged(
    model: nn.Module, test: Examples, searches: Mapping[str, str], *, threat: str, out: Path
) -> dict[str, Any]:
    """Accuracies as `numbers`: `clean`, and under each search by its name; and `trust`, the verdict on the last."""
    import frenemy

    row: dict[str, Any] = {}
    for word, attacks in searches.items():
        audit = frenemy.audit(
            model,
            test,
            threat=threat,
            objectives=("enemy",),
            attacks=attacks,
            curve=0,
            out=out / word.replace(" ", "-"),
        )
        row |= {"clean": numbers(audit["accuracy_clean"]), word: numbers(audit["accuracy_adversarial"])}
        row["trust"] = audit.trust
    return row


def numbers(one: Estimate) -> list[float]:
    """Value, ends and count of an estimate."""
    return [one.value, one.low, one.high, one.n]


def seconds(fitted: Fitted) -> float:
    """How long its epochs took."""
    return round(float(sum(entry["seconds"] for entry in fitted.history)), 1)


def place(*words: object) -> str:
    """A folder's name from what is run there."""
    return "-".join(str(word) for word in words).replace(" ", "").replace(",", "-").replace("=", "")
