"""Search: one attack over one loss, as a step of an audit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Final, cast, final

from frenemy.attacks.attack import Attack
from frenemy.card import Access
from frenemy.catalog import find
from frenemy.objectives.objective import Objective
from frenemy.objectives.surrogates import surrogate
from frenemy.risks.wishes import wished
from frenemy.threats.threat import Threat

__all__ = ["Search", "able", "chooses", "fitted", "parts", "spelled"]

_SIZES: Final = ("steps", "queries", "restarts", "times")
"""Settings that are always shown."""

_ENSEMBLES: Final = ("AutoAttack",)
"""Attacks that choose their losses themselves, and are too long for every point of a curve."""


@final
@dataclass(frozen=True, slots=True)
class Search:
    """One attack over one loss.

    Args:
        attack: any attack, a frozen dataclass.
        loss: what it climbs, such as `ce`; None where the attack chooses, or sees only whether it succeeded.
        label: what to call it, if it is a part of something larger.
    """

    attack: Attack
    loss: str | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """The attack as people write it, and its loss: `PGD(steps=50, restarts=1) on ce`."""
        return self.label or spelled(self.attack) + (f" on {self.loss}" if self.loss else "")

    @property
    def identity(self) -> str:
        """Everything that decides what the search does."""
        return repr(self.attack) + (f" on {self.loss}" if self.loss else "")

    @property
    def access(self) -> Access:
        """The most that some part of it needs to see."""
        needed = [part.card.access or Access.LABELS for part in parts(self.attack)]
        return max(needed, key=lambda access: access.rank)

    @property
    def white(self) -> bool:
        """Whether some part of it needs gradients."""
        return self.access is Access.GRADIENTS

    @property
    def nearest(self) -> bool:
        """Whether it looks for the least distance, so that one run gives every size of a curve."""
        return self.attack.card.nearest > 0 and not getattr(self.attack, "early_stop", False)

    @property
    def ensemble(self) -> bool:
        """Whether it is several attacks in one, or one of them."""
        return bool(self.label) or type(self.attack).__name__ in _ENSEMBLES or len(parts(self.attack)) > 1

    @property
    def climbs(self) -> set[str]:
        """The losses it climbs, as far as they have names."""
        return {loss for layer in _layers(self.attack) if (loss := getattr(layer, "loss", self.loss))}

    def wish(self, name: str) -> Objective:
        """The objective called `name`, over the loss; over the margin where the attack does not ask for one."""
        return wished(name, self.loss or "margin")

    def once(self) -> Search:
        """The same search without restarts."""
        if not hasattr(self.attack, "restarts"):
            return self
        return replace(self, attack=cast(Attack, replace(cast(Any, self.attack), restarts=1)))

    def opened(self, classes: int, towards: bool) -> tuple[Search, ...]:
        """The parts of an ensemble as searches of their own, which draw what they draw inside it; else the search."""
        if type(self.attack).__name__ not in _ENSEMBLES or getattr(self.attack, "version", "") == "rand":
            return (self,)
        inner: list[Any] = cast(Any, self.attack).parts(classes, towards=towards)
        alone = find("attacks", "worstof").load()
        name = type(self.attack).__name__
        return tuple(Search(alone((part,)), None, f"{name}: {_aimed(part)}") for part in inner)

    def replaced(self, classes: int) -> bool:
        """Whether another loss stands in, because so few classes leave the one that is climbed undefined."""
        ranks = any(getattr(layer, "rank", 0) for layer in _layers(self.attack))
        return any(_undefined(loss, classes - 1 if ranks else classes) for loss in self.climbs)


def chooses(attack: Attack) -> bool:
    """Whether an attack climbs no loss that one could ask for: it has its own, or sees distances, scores or labels."""
    if hasattr(attack, "loss") or attack.card.nearest > 0 or type(attack).__name__ in _ENSEMBLES:
        return True
    inner = parts(attack)
    if inner != (attack,):
        return all(chooses(part) for part in inner)
    return attack.card.access in (Access.SCORES, Access.LABELS)


def parts(attack: Attack) -> tuple[Attack, ...]:
    """The attacks inside an attack that is made of others; else itself."""
    inner = getattr(attack, "attacks", None) or getattr(attack, "attack", None)
    inner = (inner,) if isinstance(inner, Attack) else inner
    if isinstance(inner, tuple) and inner and all(isinstance(part, Attack) for part in inner):
        return tuple(leaf for part in inner for leaf in parts(part))
    return (attack,)


def _layers(attack: Attack) -> Iterator[Attack]:
    """An attack, and all that it is made of."""
    yield attack
    for part in (*getattr(attack, "attacks", ()), getattr(attack, "attack", None)):
        if isinstance(part, Attack):
            yield from _layers(part)


def _undefined(loss: str, classes: int) -> bool:
    test = getattr(surrogate(loss), "undefined", None)
    return test is not None and bool(test(classes))


def able(attack: Attack, threat: Threat) -> bool:
    """Whether the card of an attack, or of every part of it, names this kind of threat; an empty card names all."""
    kind, inner = type(threat).__name__.lower(), (attack, *parts(attack))
    return all(not part.card.threats or kind in part.card.threats for part in inner)


def fitted(attack: Attack, **given: Any) -> Attack:
    """The same attack with those of the given settings that it has; examples to start from it may have of its own."""
    own = {one.name for one in fields(cast(Any, attack))}
    if getattr(attack, "others", None) is not None:
        given.pop("others", None)
    return cast(Attack, replace(cast(Any, attack), **{word: given[word] for word in given.keys() & own}))


def spelled(attack: Attack) -> str:
    """Write an attack with its sizes and what is not as usual: `PGD(steps=50, restarts=1)`."""
    name, usual = type(attack).__name__, {}
    with contextlib.suppress(TypeError):
        usual = {one.name: repr(getattr(type(attack)(), one.name)) for one in fields(cast(Any, attack))}
    shown = [
        f"{one.name}={_plain(getattr(attack, one.name))}"
        for one in fields(cast(Any, attack))
        if one.name in _SIZES or repr(getattr(attack, one.name)) != usual.get(one.name)
    ]
    return f"{name}({', '.join(shown)})" if shown else name


def _aimed(part: Any) -> str:
    """Write a part of an ensemble: what searches, the loss it climbs, and the classes it goes towards."""
    ranks = (part.rank,) if isinstance(part.rank, int) else part.rank
    to = f"class {ranks[0]}" if len(ranks) == 1 else f"classes {ranks[0]} to {ranks[-1]}"
    return f"{spelled(part.attack)} on {part.loss}{f', towards {to}' if ranks[0] else ''}"


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_plain, value))})"
    if isinstance(value, Attack):
        return spelled(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
