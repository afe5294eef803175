"""What the laws of the attacks play on: every attack and threat in their folders, small batches, many wishes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Final

import pytest
import torch
from torch import Tensor

from frenemy.attacks.attack import Attack, Books, Found
from frenemy.card import Access
from frenemy.catalog import catalog
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.objective import Objective
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.surrogates import KL, Margin
from frenemy.objectives.targeted import Targeted
from frenemy.objectives.untargeted import Untargeted
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = [
    "ASKING",
    "ATTACKS",
    "BALLS",
    "ENSEMBLES",
    "FEW",
    "GRADIENTS",
    "NAMES",
    "NEAREST",
    "PAIRS",
    "THREATS",
    "TURNS",
    "WISHES",
    "around",
    "ball_of",
    "batch_of",
    "columns",
    "joined",
    "kind_of",
    "labelled",
    "made",
    "name_of",
    "size_of",
    "taken",
]

_PREFIX: Final = "sphere-"
_SPHERE: Final = catalog("threats")["sphere"].load()
_MAKERS: Final[dict[str, Callable[..., Threat]]] = {
    name: maker
    for name, part in catalog("threats").items()
    if name != "sphere" and getattr(maker := part.load(), "order", 0.0) >= 1.0
}
BALLS: Final = tuple(_MAKERS)
THREATS: Final = (*BALLS, *(_PREFIX + ball for ball in BALLS))
ATTACKS: Final = {
    name: part.load()
    for name, part in catalog("attacks").items()
    if not part.card.threats or {kind.split("-")[0] for kind in THREATS} & {*part.card.threats}
}
"""Every attack that searches a ball; those of finite families and of L0 have tests of their own."""


def _wraps(name: str) -> bool:
    """Whether an attack is made of others."""
    part = ATTACKS[name]
    return bool({"attack", "attacks"} & part.__dataclass_fields__.keys()) or hasattr(part, "parts")


PAIRS: Final = tuple(
    (name, kind)
    for name, part in ATTACKS.items()
    for kind in THREATS
    if not part.card.threats or kind.split("-")[0] in part.card.threats
    if not ({"attack", "attacks"} & part.__dataclass_fields__.keys() and kind.startswith(_PREFIX))
)
"""Every attack with every threat that its card says it searches; attacks on attacks with the balls alone."""
ASKING: Final = tuple(name for name, part in ATTACKS.items() if part.card.access is not Access.GRADIENTS)
"""Attacks that see scores or labels alone."""
_SHOWN: Final = {
    access: next(name for name in ASKING if ATTACKS[name].card.access is access)
    for access in (Access.SCORES, Access.LABELS)
}
"""Of those that see scores, and of those that see labels, the one that stands for all in the short tests."""
_LAST: Final = {name: kind for name, kind in PAIRS if name in ASKING or _wraps(name)}


def _turn(name: str, kind: str | None = None) -> Any:
    """A turn of the tests. Attacks on attacks and those that only ask take long.

    On all their threats but the last they wait for the long tests; of those that only ask, all but two wait anyway.
    """
    waits = name in ASKING and name not in _SHOWN.values()
    waits = waits or (kind is not None and kind != _LAST.get(name, kind))
    turn = (name,) if kind is None else (name, kind)
    return pytest.param(*turn, marks=pytest.mark.slow) if waits else turn if kind else name


TURNS: Final = tuple(_turn(name, kind) for name, kind in PAIRS)
"""Every pair for the tests."""


def _few(place: int, name: str) -> tuple[str, ...]:
    """A ball and a sphere of an attack, others for the next attack."""
    kinds = [kind for other, kind in PAIRS if other == name]
    groups = [[kind for kind in kinds if kind.startswith(_PREFIX) is exact] for exact in (False, True)]
    return tuple(group[place % len(group)] for group in groups if group)


_SHORT: Final = {name: _few(place, name) for place, name in enumerate(ATTACKS)}
FEW: Final = tuple(
    turn
    if hasattr(turn, "values") or name in _LAST or kind in _SHORT[name]
    else pytest.param(name, kind, marks=pytest.mark.slow)
    for turn, (name, kind) in zip(TURNS, PAIRS, strict=True)
)
"""The same, of which the short tests take a ball and a sphere for each attack that climbs; the long ones take all."""
NAMES: Final = tuple(_turn(name) for name in ATTACKS)
"""Every attack for the tests."""
ENSEMBLES: Final = tuple(name for name, part in ATTACKS.items() if hasattr(part, "parts"))
"""Attacks that run others in turn, some of which need no gradient."""
GRADIENTS: Final = tuple(
    name for name, part in ATTACKS.items() if part.card.access is Access.GRADIENTS and name not in ENSEMBLES
)
NEAREST: Final = tuple(_turn(name, kind) for name, kind in PAIRS if ATTACKS[name].card.nearest)
"""Attacks that promise a distance, with their balls, for the tests."""
WISHES: Final[tuple[Objective, ...]] = (
    Untargeted(),
    Untargeted(Margin()),
    Hypocritical(),
    Hypocritical(Margin()),
    Reversal(KL()),
    Targeted("runner-up", Margin()),
)


def kind_of(turn: Any) -> str:
    """The threat of one of `TURNS`."""
    return str((turn.values if hasattr(turn, "values") else turn)[1])


def name_of(turn: Any) -> str:
    """The attack of one of `TURNS`."""
    return str((turn.values if hasattr(turn, "values") else turn)[0])


def made(name: str, **wanted: Any) -> Attack:
    """Make an attack with those of the wanted settings that it has; one that counts queries has 8 for each step.

    And as many for each restart, but where these are only a part of it: AutoAttack goes through all its parts once.
    """
    has = {field.name for field in dataclasses.fields(ATTACKS[name])}
    if "steps" in wanted and "queries" in has:
        runs = wanted.get("restarts", 1) if "restarts" in has or "steps" not in has else 1
        wanted = {**wanted, "queries": 1 + 8 * wanted["steps"] * runs}
    attack: Attack = ATTACKS[name](**{word: value for word, value in wanted.items() if word in has})
    return attack


def ball_of(name: str) -> str:
    """The first ball that the attack searches."""
    return next(kind for one, kind in PAIRS if one == name)


def size_of(kind: str, features: int) -> float:
    """A size about as long as a tenth of a unit in each of `features` directions."""
    order: float = getattr(_MAKERS[kind.removeprefix(_PREFIX)], "order", math.inf)
    return float(0.12 * features ** (1 / order))


def around(kind: str, eps: float | Tensor, low: float | Tensor = 0.0, high: float | Tensor = 1.0) -> Threat:
    """Make the ball or sphere called `kind`."""
    ball = _MAKERS[kind.removeprefix(_PREFIX)](eps, low=low, high=high)
    threat: Threat = _SPHERE(ball) if kind.startswith(_PREFIX) else ball
    return threat


def batch_of(shape: tuple[int, ...], rows: int, dtype: torch.dtype = torch.float64) -> Batch:
    """Draw inputs of the unit cube; the labels are 0."""
    index = torch.arange(100, 100 + rows)
    return Batch(Key(0).fold("x").uniform(index, shape, dtype), torch.zeros_like(index), index)


def labelled(batch: Batch, model: Model) -> Batch:
    """Take the model's own answers for labels, but for every fifth row."""
    with torch.no_grad():
        logits = model(batch.x)
    wrong = torch.arange(len(batch)) % 5 == 2
    return Batch(batch.x, torch.where(wrong, logits.argmin(1), logits.argmax(1)), batch.index)


def columns(found: Found) -> dict[str, Tensor]:
    """Everything that was found by name, one entry a row; the books among it, where they were kept."""
    own = {f.name: getattr(found, f.name) for f in dataclasses.fields(Found) if f.name != "books"}
    books = found.books
    return own if books is None else own | {f.name: getattr(books, f.name) for f in dataclasses.fields(Books)}


def joined(parts: list[Found]) -> Found:
    """Put the rows of several searches under each other."""
    return _found({name: torch.cat([columns(p)[name] for p in parts]) for name in columns(parts[0])})


def taken(found: Found, rows: Tensor | slice) -> Found:
    """Some rows of what was found."""
    return _found({name: values[rows] for name, values in columns(found).items()})


def _found(values: dict[str, Tensor]) -> Found:
    kept = [values.pop(f.name) for f in dataclasses.fields(Books) if f.name in values]
    return Found(**values, books=Books(*kept) if kept else None)
