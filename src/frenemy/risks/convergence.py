"""Convergence: loss and worst-case accuracy against the steps of a search, run by run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast, final

import numpy as np
import torch
from torch import Tensor

from frenemy.attacks.attack import Attack
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import DataError, UsageError
from frenemy.ledger import Arrays, open_ledger
from frenemy.models.answers import Answers
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import surrogate
from frenemy.risks.named import asked
from frenemy.risks.question import question
from frenemy.risks.search import spelled
from frenemy.risks.views import Convergence
from frenemy.risks.wishes import wish_named, wished
from frenemy.rng import Key
from frenemy.threats.spec import spell
from frenemy.threats.threat import Threat
from frenemy.types import Flags, Goal, Labels, Logits, PerExample

__all__ = ["Watched", "climbing", "converge"]


@final
class Watched:
    """An objective that writes down the loss and the success of every point it is asked about.

    A search learns nothing of it: the goal it hands back is the number of the row.

    Args:
        inner: the objective that is watched.
    """

    card: ClassVar[Card] = Card(
        authors="Kim, Wang",
        title="Robust sensible adversarial learning of deep neural networks for image classification",
        year=2022,
        venue="arXiv preprint",
        place="Section 5.2.2 and 5.3.5",
    )
    towards: ClassVar[bool] = False

    def __init__(self, inner: Objective) -> None:
        self.inner = inner
        self._goal = torch.empty(0)
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def goal(self, clean: Logits, y: Labels) -> Goal:
        """Number the rows."""
        self._goal = self.inner.goal(clean, y)
        return torch.arange(len(y), device=y.device)

    def loss(self, logits: Logits, goal: Goal) -> PerExample:
        """The loss of the watched objective."""
        loss = self.inner.loss(logits, self._goal[goal])
        self._seen.append((goal, loss.detach(), self.inner.success(logits.detach(), self._goal[goal])))
        return loss

    def success(self, logits: Logits, goal: Goal) -> Flags:
        """The success of the watched objective."""
        return self.inner.success(logits, self._goal[goal])

    def told(self, points: int) -> tuple[Tensor, Tensor, Tensor]:
        """Give the clean success `(n,)`, and loss and success `(n, points)` of the points after the clean input.

        Raises:
            UsageError: the search looked at more points than that.
        """
        _, _, home = self._seen[0]
        count = len(home)
        loss = torch.full((count, points), torch.nan)
        success = torch.zeros((count, points), dtype=torch.bool)
        at = torch.zeros(count, dtype=torch.int64)
        for goal, values, flags in self._seen[1:]:
            rows = goal.cpu()
            if bool((at[rows] >= points).any()):
                raise UsageError(
                    f"expected a search that looks at {points} points of each example, one a step, got one that looks "
                    "at more; leave shrinking off"
                )
            loss[rows, at[rows]], success[rows, at[rows]] = values.float().cpu(), flags.cpu()
            at[rows] += 1
        return home.cpu(), loss, success


def converge(
    model: Model | str,
    data: Examples | str,
    *,
    threat: Threat | str = "linf:8/255",
    objective: str = "untargeted",
    attack: str | Attack = "pgd",
    loss: str = "ce",
    steps: int = 100,
    step_size: float | None = None,
    restarts: int = 5,
    seed: int = 0,
    batch_size: int = 128,
    out: Path | str | None = None,
    name: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Convergence:
    """Run a search several times, to its last step, and write down what it sees on its way.

    Args:
        model: gives logits; looked at in evaluation mode and left as it was. Or words, as for `frenemy.audit`.
        data: the examples, or what `frenemy.load` understands.
        threat: what may be done to an input.
        objective: `untargeted` (or `enemy`), `hypocritical` (or `friend`), `reversal`.
        attack: one that climbs a loss step by step: `pgd`, `bim`, `mifgsm`, `apgd`, with settings in brackets if need
            be. Its runs go on after a success; one without a random start is run once.
        loss: what it climbs: `ce`, `margin`, `dlr`, `kl`; one written with the attack comes first.
        steps, step_size: of the attack, where it was not given its own; the step is a share of eps.
        restarts: how many runs.
        seed: root of all randomness.
        batch_size: the most rows in one forward; the result does not depend on it.
        out: run directory; a run that was killed goes on where it was.
        name: what to call the model; its class by default.
        progress: told `(what, share of all)`.

    Returns:
        Convergence. Rows with a non-finite input or clean answer are left out, and counted.

    Raises:
        UsageError: the attack does not climb step by step, or something that was given cannot be used.
        DataError: no example is left.

    Cost: restarts x (steps + 1) + restarts forwards and restarts x steps backwards an example.

    References:
        001, Figures 8 and 9. There the accuracy is that of the points at a step; here a success once seen counts from
        then on, as it does for the audit.
    """
    asks = question(model, data, threat, name).look()
    examples, around = asks.examples, asks.threat
    wish = wish_named(objective)
    climber, slope = climbing(attack, loss, steps, step_size)
    if restarts < 1 or batch_size < 1:
        raise UsageError(
            f"expected restarts >= 1 and batch_size >= 1, got restarts={restarts}, batch_size={batch_size}"
        )
    if not getattr(climber, "random_start", False):
        restarts = 1
    points = climber.steps + 1
    rows = examples.x.flatten(1).isfinite().all(1).nonzero().flatten()
    told = progress or (lambda what, share: None)
    settings = asks.identity() | {
        "threat": repr(around)[:2000],
        "objective": wish,
        "attack": repr(climber),
        "loss": slope,
        "restarts": restarts,
        "seed": seed,
    }
    key = Key(seed).fold("converge")
    losses = np.full((restarts, len(examples), points), np.nan, dtype=np.float32)
    reached = np.zeros(losses.shape, dtype=bool)
    shards = torch.split(rows, batch_size)
    with open_ledger(None if out is None else Path(out), settings) as ledger:
        for run in range(restarts):
            for place, shard in enumerate(shards):

                def work(run: int = run, shard: Tensor = shard) -> Arrays:
                    watched, batch = Watched(wished(wish, slope)), examples.batch(shard, asks.device)
                    return _watch(asks.model, batch, climber, around, watched, key.fold(run), points)

                seen = ledger.result({**settings, "run": run, "rows": shard.tolist()}, work)
                losses[run, shard], reached[run, shard] = seen["loss"], seen["reached"]
                told(f"run {run + 1}", (run * len(shards) + place + 1) / (restarts * len(shards)))
    kept = np.all(np.isfinite(losses[:, :, 0]), axis=0)
    if not kept.any():
        raise DataError(
            f"expected an example of {examples.name} with finite answers, got none of {len(examples)}"
        )
    return Convergence(
        model=asks.name,
        data=examples.name,
        threat=f"{spell(around)}:{float(torch.as_tensor(around.eps).max()):g}",
        objective=wish,
        attack=f"{spelled(_usual(climber, restarts))} on {slope}",
        index=examples.index.numpy()[kept],
        loss=losses[:, kept],
        reached=reached[:, kept],
        apart=int((~kept).sum()),
        settings=settings,
    )


def climbing(attack: str | Attack, loss: str, steps: int, step_size: float | None) -> tuple[Any, str]:
    """Read an attack that climbs a loss step by step; give it, so set that each run is taken to its end, and the loss.

    Args:
        attack: its name, with settings and a loss in brackets if need be, or itself.
        loss: what it climbs, where that is not said with it.
        steps, step_size: where it was not given its own.

    Raises:
        UsageError: it does not climb step by step, or a name or a value is wrong.
    """
    one = asked(attack)
    able = len(one) == 1 and hasattr(one[0].attack, "steps") and hasattr(one[0].attack, "early_stop")
    if not able or one[0].attack.card.nearest or one[0].attack.card.access is not Access.GRADIENTS:
        raise UsageError(
            f"expected one attack that climbs a loss step by step, got '{attack!s:.80}'; take pgd, bim, mifgsm or apgd"
        )
    given = {"steps": steps} | ({} if step_size is None else {"step_size": step_size})
    climber = cast(Any, one[0].having(given).attack)
    slope = one[0].loss or loss
    surrogate(slope)
    if climber.steps < 1:
        raise UsageError(f"expected at least one step, got {climber.steps}; 100 are usual")
    single = {
        word: value for word, value in {"restarts": 1, "batch_size": None}.items() if hasattr(climber, word)
    }
    return replace(climber, early_stop=False, **single), slope


def _usual(climber: Any, restarts: int) -> Attack:
    """The attack as people would write it: with all its runs, whether or not it stops early."""
    usual = {"early_stop": True} | ({"restarts": restarts} if hasattr(climber, "restarts") else {})
    return cast(Attack, replace(climber, **usual))


def _watch(
    model: Answers, batch: Batch, attack: Any, threat: Threat, watched: Watched, key: Key, points: int
) -> Arrays:
    attack(model, batch, threat=threat, objective=watched, key=key)
    home, loss, success = watched.told(points)
    at_home = threat.contains(batch.x, batch.x, torch.as_tensor(threat.eps).to(batch.x).expand(len(batch)))
    success |= (home & at_home.cpu())[:, None]
    return {"loss": loss.numpy(), "reached": success.cumsum(1).bool().numpy()}
