"""The white-box suite: its cases with their targets, how frenemy runs a task, and how anybody's points are judged."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from libraries import Task
from peers import points
from torch import Tensor, nn

from frenemy import L1, L2, Batch, Key, Linf, Untargeted, load
from frenemy.attacks.attack import Found
from frenemy.attacks.best import look
from frenemy.catalog import find
from frenemy.models.counted import Counted
from frenemy.models.fast import Fast
from frenemy.models.lowered import Lowered
from frenemy.models.still import still
from frenemy.objectives.surrogates import surrogate

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from white_box_models import KINDS, RUNS, trained

BALLS: Final[dict[str, Any]] = {"linf": Linf, "l2": L2, "l1": L1}
WAYS: Final = ("frenemy", "frenemy fast", "frenemy early stop", "frenemy bfloat16")
_LOSSES: Final = {"PGD-margin": "margin", "Square": "margin", "APGD-DLR": "dlr"}
_L2: Final = {"mlp-robust": 1.5, "lenet-robust": 2.0}


@dataclass(frozen=True)
class Target:
    """What a contender should reach.

    Args:
        contender: one of ours.
        against: `model` for at most `limit` times its time; else a peer, to be `limit` times as fast as.
        limit: the factor.
    """

    contender: str
    against: str
    limit: float


@dataclass(frozen=True)
class Case:
    """A task on some rows for a model of scripts/white_box_models.py.

    Args:
        task: what is asked.
        model: name of the model.
        rows: how many test examples, the first ones.
        eps: the size that robust accuracy is judged at.
        targets: what ours should reach.
        ways: how frenemy runs it.
    """

    task: Task
    model: str
    rows: int
    eps: float
    targets: tuple[Target, ...]
    ways: tuple[str, ...] = WAYS[:2]


@dataclass(frozen=True, eq=False)
class Answer:
    """The points a contender gives, and how many rows went through the model for them, forward and back."""

    x: Tensor
    forwards: int
    backwards: int


def _cases() -> dict[str, Case]:
    own = Target("frenemy", "model", 1.05)
    early = (*WAYS[:2], "frenemy early stop")
    kinds = {
        "apgd": (Task("APGD-CE", eps=0), (own,), early),
        "cw": (Task("C&W", "l2"), (replace(own, limit=1.15),), WAYS[:2]),
        "fab": (Task("FAB"), (replace(own, limit=1.3),), WAYS[:2]),
        "square": (Task("Square", eps=0, steps=1000), (replace(own, limit=1.2),), WAYS[:2]),
        "deepfool": (
            Task("DeepFool", "l2", steps=50),
            (
                replace(own, limit=1.3),
                Target("frenemy fast", "foolbox", 5),
                Target("frenemy fast", "art", 20),
                Target("frenemy fast", "torchattacks", 20),
            ),
            WAYS[:2],
        ),
        "autoattack": (
            Task("AutoAttack", eps=0),
            (Target("frenemy fast", "pyautoattack", 2), Target("frenemy bfloat16", "pyautoattack", 3)),
            (*WAYS[:2], "frenemy bfloat16"),
        ),
    }
    models = {"mlp": ("mlp-robust", 200), "lenet": ("lenet-robust", 64), "resnet": ("resnet-brief", 64)}
    made = {}
    for kind, (task, targets, ways) in kinds.items():
        for short, (model, rows) in models.items():
            if short != "resnet" or kind == "autoattack":
                eps = _L2[model] if task.norm == "l2" else KINDS[model].eps
                there = task if task.near else replace(task, eps=eps)
                made[f"{kind}, {short}"] = Case(there, model, rows, eps, targets, ways)
    return made


CASES: Final = _cases()


def weighed(name: str) -> nn.Module | None:
    """Give a trained model, or None where its weights are not there."""
    return trained(name) if (RUNS / f"{name}.safetensors").exists() else None


def rows_of(name: str, count: int, data_dir: str | None = None) -> Batch:
    """Give the first so many test examples of a model's data."""
    return load(KINDS[name].data, data_dir=data_dir, examples=count).batch()


def ours(task: Task, **settings: Any) -> Any:
    """Give frenemy's attack for a task; settings it does not have are left out."""
    names = {"APGD-CE": "apgd", "APGD-DLR": "apgd", "C&W": "cw", "FAB-T": "fab", "PGD-margin": "pgd"}
    name = names.get(task.attack, task.attack.lower().replace("-", ""))
    if task.attack == "APGD-T":
        every = ours(Task("AutoAttack", steps=task.steps)).parts(10)
        climbs = [part for part in every if part.rank and part.loss == "dlr"]
        return find("attacks", "worstof").load()(tuple(climbs), batch_size=settings.get("batch_size"))
    make = find("attacks", name).load()
    known = {field.name for field in fields(make)}
    wanted = {
        "queries" if task.attack == "Square" else "steps": task.steps,
        "binary_search_steps": task.rounds,
        "targets": 9 if task.attack in ("FAB-T", "AutoAttack") else None,
        "early_stop": not task.near,
        **settings,
    }
    return make(**{word: value for word, value in wanted.items() if word in known})


def answer(contender: str, task: Task, model: nn.Module, batch: Batch, **settings: Any) -> Answer:
    """Run a contender: one of frenemy's ways, or a library."""
    if contender not in WAYS:
        counted = Counted(model).eval()
        x = points(contender, task, counted, batch)
        return Answer(x, counted.counts.forwards, counted.counts.backwards)
    threat = BALLS[task.norm](task.size(batch.x))
    objective = Untargeted(surrogate(_LOSSES.get(task.attack, "ce")))
    if contender != "frenemy early stop" and task.attack == "APGD-CE":
        settings = {"early_stop": False, **settings}
    attack = ours(task, **settings)

    def search(asked: Any, rows: Batch) -> Found:
        found: Found = attack(asked, rows, threat=threat, objective=objective, key=Key(0))
        return found

    if contender == "frenemy":
        return _summed(search(model, batch))
    return _confirmed(
        search, Lowered(model) if contender == "frenemy bfloat16" else Fast(model), model, batch
    )


def _confirmed(search: Callable[[Any, Batch], Found], quick: Any, model: nn.Module, batch: Batch) -> Answer:
    """Search a quick model, ask the model itself, and search it where a success does not stand up there."""
    first = search(quick, batch)
    done = _summed(first)
    with still(model):
        stands = look(model, first.x, 64).argmax(1) != batch.y
    again = (first.success & ~stands).nonzero().flatten()
    if not len(again):
        return replace(done, forwards=done.forwards + len(batch))
    more = _summed(search(model, batch.rows(again)))
    x = done.x.index_copy(0, again, more.x)
    return Answer(x, done.forwards + len(batch) + more.forwards, done.backwards + more.backwards)


def _summed(found: Found) -> Answer:
    return Answer(found.x, int(found.forwards.sum()), int(found.backwards.sum()))


def judged(model: nn.Module, batch: Batch, x: Tensor, norm: str, eps: float) -> dict[str, Any]:
    """Judge points by the model itself, in float32.

    Returns:
        `left`: share of rows without a success within eps (1e-5 of eps is forgiven); `found`: share with a success in
        the box at any distance; `median`: of the distance of the nearest success, None if half have none. Rows whose
        input is misclassified count as found at distance 0.
    """
    with still(model):
        wrong, logits = look(model, batch.x, 64).argmax(1) != batch.y, look(model, x, 64)
    inside = ((x >= -1e-6) & (x <= 1 + 1e-6)).flatten(1).all(1) & logits.isfinite().all(1)
    success = wrong | ((logits.argmax(1) != batch.y) & inside)
    distance = (
        BALLS[norm](1.0).norm(x - batch.x).double().masked_fill(wrong, 0).masked_fill(~success, math.inf)
    )
    middle = float(distance.sort().values[(len(batch) - 1) // 2])
    return {
        "left": float((distance > eps * (1 + 1e-5) + 1e-6).double().mean()),
        "found": float(success.double().mean()),
        "median": middle if math.isfinite(middle) else None,
    }
