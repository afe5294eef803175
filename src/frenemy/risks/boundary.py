"""Boundary: the nearest point of the decision boundary next to each input, and what takes the input there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor

from frenemy.attacks.attack import Attack, admit
from frenemy.attacks.best import look
from frenemy.card import Access
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.errors import DataError, UsageError
from frenemy.ledger import Arrays, open_ledger
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.surrogates import finite
from frenemy.objectives.targeted import Targeted
from frenemy.risks.borders import Borders
from frenemy.risks.named import asked
from frenemy.risks.question import access_named, likely, question
from frenemy.risks.search import Search
from frenemy.rng import Key
from frenemy.threats.spec import spell
from frenemy.threats.threat import Threat, broadcast
from frenemy.types import Goal

__all__ = ["boundary"]

_USUAL: Final = {
    Access.GRADIENTS: "deepfool, fab",
    Access.SCORES: "hopskipjump(queries=2500)",
    Access.LABELS: "hopskipjump(queries=2500)",
}
"""What looks for the boundary of a model of which so much is seen; 002 names DeepFool, FAB and HopSkipJump."""
_HALVINGS: Final = 24
"""Beyond these, both sides of the border are the same in float32."""
_ROWS: Final = 256
"""Examples in one job."""


def boundary(
    model: Model | str,
    data: Examples | str,
    *,
    threat: Threat | str = "l2:1000",
    attacks: str | None = None,
    towards: str | None = None,
    access: str = "gradients",
    seed: int = 0,
    batch_size: int = 128,
    out: Path | str | None = None,
    name: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Borders:
    r"""Find the nearest point at which the answer is another, or is `towards`, and what lies between.

    $$ \mathrm{NDBP}_c(x) = \arg\min_{z \in DB_c} \|z - x\|, \quad \mathrm{NAR}_c(x) = x - \mathrm{NDBP}_c(x) $$

    with DB_c the boundary of class c: the model's own answer, or `towards`. The searches end a little beyond the
    boundary; the way back to the input is then halved until the answers on both sides of the point differ within
    `2^-24` of the distance. So the points are on the boundary, but their distance is an upper bound: nothing shows that
    none is nearer.

    Args:
        model: gives logits; looked at in evaluation mode and left as it was. Or words, as for `frenemy.audit`.
        data: the examples, or what `frenemy.load` understands.
        threat: its norm is what is to be least; its size, how far to look at most; its box, where.
        attacks: attacks by name, with settings in brackets if need be; of each example the nearest point counts. By
            default DeepFool and FAB, HopSkipJump where no gradients are to be had.
        towards: name of the class c; by default that of the answer, which is left.
        access: what the searches see of the model: `gradients`, `scores` or `labels`.
        seed: root of all randomness.
        batch_size: the most rows in one forward; the result does not depend on it.
        out: run directory; a run that was killed goes on where it was.
        name: what to call the model; its class by default.
        progress: told `(what, share of all)`.

    Returns:
        Borders. Examples whose input or answer is not finite are left out, and counted.

    Raises:
        UsageError: the threat is no ball, an attack cannot search it or needs more than is seen, a name is unknown, or
            the data are a table with rules.
        DataError: no example is left.

    Cost: that of the attacks, and 24 forwards an example.

    References:
        002, Section 9.3, Definition 9; there `x + NAR = NDBP` by the definition, and `x = NAR + NDBP` by the sentence
        below it: the sentence is followed here, so that the remover is what an input has and its boundary point lacks.
    """
    asks = question(model, data, threat, name)
    asks.model.access = access_named(access)
    asks.look()
    examples, ball, shown = asks.examples, asks.threat, asks.model.shown
    if getattr(ball, "order", 0) < 1:
        raise UsageError(
            f"expected l2, linf or l1, got {spell(ball)}; it has no distance that a way shortens"
        )
    if examples.rules is not None:
        raise UsageError(
            f"expected a table without rules, got {examples.rules.source} beside it; audits heed it, this does not: "
            "ask about a copy of the table alone"
        )
    known = list(examples.classes)
    if towards is not None and towards not in known:
        raise UsageError(f"expected one of the classes {', '.join(known)[:200]}, got '{towards}'")
    if batch_size < 1:
        raise UsageError(f"expected batch_size >= 1, got {batch_size}")
    around = ball.at(min(float(torch.as_tensor(ball.eps).max()), _widest(ball, examples)))
    words = attacks or _USUAL[shown]
    searches = [_ready(one.attack, around, shown, examples, batch_size) for one in asked(words)]
    goal = None if towards is None else known.index(towards)
    settings = asks.identity() | {"threat": repr(around)[:2000], "attacks": words, "towards": goal}
    settings |= {"access": access, "seed": seed}
    key, told = Key(seed).fold("boundary"), progress or (lambda what, share: None)
    sound = examples.x.flatten(1).isfinite().all(1).nonzero().flatten()
    shards, parts = torch.split(sound, _ROWS), []
    with open_ledger(None if out is None else Path(out), settings) as ledger:
        for place, shard in enumerate(shards):

            def work(shard: Tensor = shard) -> Arrays:
                batch = examples.batch(shard, asks.device)
                return _nearest(asks.model, batch, around, searches, goal, key, batch_size)

            parts.append(ledger.result({**settings, "rows": shard.tolist()}, work))
            told("boundary", (place + 1) / len(shards))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    kept = joined["before"] >= 0 if parts else np.zeros(0, dtype=bool)
    if not kept.any():
        raise DataError(
            f"expected an example of {examples.name} with a finite answer, got none of {len(examples)}"
        )
    return Borders(
        model=asks.name,
        data=examples.name,
        norm=spell(around),
        attacks=words,
        towards=towards or "another class",
        classes=examples.classes,
        index=examples.index.numpy()[sound.numpy()][kept],
        x=examples.batch(sound).x.numpy()[kept],
        point=joined["point"][kept],
        distance=joined["distance"][kept],
        before=joined["before"][kept],
        after=joined["after"][kept],
        apart=len(examples) - int(kept.sum()),
        settings=settings,
    )


def _widest(ball: Threat, examples: Examples) -> float:
    """How far two points of the box can be from each other."""
    shape = tuple(examples.x.shape[1:])
    low, high = (torch.as_tensor(end, dtype=torch.float32).expand(shape) for end in (ball.low, ball.high))
    return float(ball.norm((high - low)[None])[0])


def _ready(attack: Attack, ball: Threat, shown: Access, examples: Examples, batch_size: int) -> Attack:
    """See that an attack can search here, and give it where to start and how many rows to ask about at once."""
    admit(attack, ball)
    needed = Search(attack).access
    if needed.rank > shown.rank:
        raise UsageError(
            f"expected attacks that need no more than {shown.value}, got {type(attack).__name__}, which needs "
            f"{needed.value}; hopskipjump needs labels alone"
        )
    own: dict[str, Any] = {"batch_size": batch_size, "others": likely(examples)}
    fields = {one.name for one in dataclasses.fields(cast(Any, attack))}
    changed = {name: value for name, value in own.items() if name in fields}
    return cast(Attack, dataclasses.replace(cast(Any, attack), **changed))


def _nearest(
    model: Model,
    batch: Batch,
    ball: Threat,
    searches: list[Attack],
    goal: int | None,
    key: Key,
    batch_size: int,
) -> Arrays:
    """Search some rows with every attack, keep the nearest success of each, and go back to the border."""
    with still(model):
        clean = look(model, batch.x, batch_size)
        before = torch.where(finite(clean), clean.argmax(1), -1)
        sound, ways = before >= 0, list[tuple[Tensor, Objective]]()
        if goal is None:
            ways.append((sound, Reversal()))
        else:
            ways += [(sound & (before == goal), Reversal()), (sound & (before != goal), Targeted(goal))]
        point, distance = batch.x.clone(), torch.full((len(batch),), math.inf, device=batch.x.device)
        for rows, objective in ((chosen.nonzero().flatten(), objective) for chosen, objective in ways):
            if len(rows):
                part = batch.rows(rows)
                wanted = objective.goal(clean[rows], part.y)
                point[rows], distance[rows] = _searched(
                    model, part, ball, searches, objective, wanted, key, batch_size
                )
        after = look(model, point, batch_size).argmax(1)
    found = {"point": point, "distance": distance.double(), "before": before, "after": after}
    return {name: values.cpu().numpy() for name, values in found.items()}


def _searched(
    model: Model,
    batch: Batch,
    ball: Threat,
    searches: list[Attack],
    objective: Objective,
    goal: Goal,
    key: Key,
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    """The nearest point of the boundary for each row, and its distance."""
    point, distance = batch.x.clone(), torch.full((len(batch),), math.inf, device=batch.x.device)
    for place, attack in enumerate(searches):
        found = attack(model, batch, threat=ball, objective=objective, key=key.fold(place))
        far = torch.where(found.success, ball.norm(found.x - batch.x), math.inf)
        nearer = far < distance
        point[nearer], distance[nearer] = found.x[nearer], far[nearer]
    rows = distance.isfinite().nonzero().flatten()
    low, high = torch.zeros(len(rows), device=point.device), torch.ones(len(rows), device=point.device)
    x, far, wanted = batch.x[rows], point[rows], goal[rows]
    for _ in range(_HALVINGS if len(rows) else 0):
        middle = (low + high) / 2
        won = objective.success(look(model, x.lerp(far, broadcast(middle, x)), batch_size), wanted)
        low, high = torch.where(won, low, middle), torch.where(won, middle, high)
    point[rows] = x.lerp(far, broadcast(high, x))
    distance[rows] = ball.norm(point[rows] - x)
    return point, distance
