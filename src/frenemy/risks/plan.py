"""Plan: which searches an audit runs for each question, and which of those it cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import torch

from frenemy.attacks.attack import Attack
from frenemy.card import Access
from frenemy.catalog import catalog
from frenemy.data.batch import Batch
from frenemy.errors import UsageError, nearest
from frenemy.risks.named import Asked, asked
from frenemy.risks.search import Search, able, chooses
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["EFFORTS", "LOSSES", "Plan", "plan"]

LOSSES: Final = ("ce", "margin")
"""What attacks climb that take a loss, where none is asked for."""

EFFORTS: Final[Mapping[str, Mapping[str, str]]] = {
    "quick": {
        "all": "pgd(steps=20)",
        "scores": "square(queries=200)",
        "labels": "hopskipjump(queries=500)",
    },
    "standard": {
        "all": "pgd(steps=50)",
        "untargeted": "apgd(steps=50,loss=margin),deepfool(early_stop=yes),square(queries=200)",
        "scores": "square(queries=1000)",
        "labels": "hopskipjump(queries=1500),rays(queries=500),signopt(queries=1500)",
    },
    "thorough": {
        "all": "pgd(steps=100,restarts=5)",
        "untargeted": "autoattack",
        "scores": "square(queries=5000)",
        "labels": "hopskipjump(queries=5000),rays(queries=5000),signopt(queries=5000)",
    },
}
"""For each effort the attacks of every question, those that come after them for one question, and those that come
instead where no more than scores or labels are seen."""

_FINITE: Final = "grid"
"""What searches a threat that is a list of members, whatever the effort."""


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """The searches of each question, in the order in which they run.

    Args:
        searches: by objective.
        effort: the effort it was made for; None where attacks were named.
        left_out: attacks of the effort that cannot search this threat.
        idle: by objective, searches that need more than is seen of the model.
        veiled: what is seen, where less was asked for than there may be.
    """

    searches: Mapping[str, tuple[Search, ...]]
    effort: str | None
    left_out: tuple[str, ...] = ()
    idle: Mapping[str, tuple[Search, ...]] | None = None
    veiled: str = ""

    def told(self) -> dict[str, list[str]]:
        """What is run, for the record."""
        return {wish: [search.identity for search in found] for wish, found in self.searches.items()}

    def seeing(
        self, access: Access, threat: Threat, settings: Mapping[str, Any], asked: bool = False
    ) -> Plan:
        """The same where no more is seen than `access`: searches that need more stand idle, if there are others.

        Args:
            settings: for the attacks of the effort that come instead.
            asked: whether no more is to be seen, or no more is there.

        Raises:
            UsageError: attacks were named, and none of them is left; or a setting concerns none of those that come
                instead.
        """
        idle, left = {}, {}
        for wish, found in self.searches.items():
            more = tuple(s for s in found if s.access.rank > access.rank)
            left[wish] = tuple(s for s in found if s.access.rank <= access.rank)
            if self.effort is None and not left[wish]:
                least = f"more than {access.value}" if asked else "gradient"
                raise UsageError(
                    f"expected an attack that needs no {least}, since no "
                    f"{'more is shown' if asked else 'gradient flows from the answers to the input'}, got "
                    f"{', '.join(s.name for s in more)}; choose one of {', '.join(_seen_by(access, threat))}"
                )
            if self.effort is not None and more:
                spare = _effort(self.effort, access.value, threat, [], first=False)
                for word in settings if asked else ():
                    if not any(word in one.free for one in spare):
                        raise UsageError(
                            f"expected an attack whose {word} may be set, got {_names(spare)}; leave {word} out"
                        )
                left[wish] = tuple(Search(one.having(settings).attack) for one in spare)
            idle[wish] = more if left[wish] else ()
            left[wish] = left[wish] or more
        return replace(self, searches=left, idle=idle, veiled=access.value if asked else "")

    def curve(self, wish: str, threat: Threat) -> Search | None:
        """The search that draws the points of a curve: of least distance if there is one, else the first, once.

        None where no search of the plan can search such a threat.
        """
        here = [search for search in self.searches[wish] if able(search.attack, threat)]
        near = [search for search in here if search.nearest]
        single = [search for search in here if not search.ensemble]
        if near or single:
            return (near or single)[0].once()
        return Search(asked("pgd(steps=50)")[0].attack, LOSSES[0]) if here else None


def plan(
    attacks: str | Attack | Search | Sequence[str | Attack | Search] | None,
    effort: str,
    losses: Sequence[str] | None,
    settings: Mapping[str, Any],
    wishes: Sequence[str],
    threat: Threat,
    shape: tuple[int, ...] | None = None,
    classes: int = 10,
    access: Access = Access.GRADIENTS,
) -> Plan:
    """Plan the searches of an audit.

    Args:
        attacks: what was asked for by name; None takes those of the effort.
        effort: one of `EFFORTS`.
        losses: what attacks climb that take a loss; None is cross-entropy, then the margin.
        settings: settings for all named attacks that have them and were not given their own.
        wishes: the objectives.
        threat: what they search.
        shape: of an input; where it is known, the settings of every attack are tried on no rows at all.
        classes: how many there are.
        access: the most that is seen of the model.

    Raises:
        UsageError: a name, a setting or a value is wrong; a named attack cannot search the threat, with those that can;
            or a setting or the losses concern no attack.
    """
    if effort not in EFFORTS:
        raise UsageError(f"unknown effort '{effort}'{nearest(effort, EFFORTS)}")
    if losses is not None and not losses:
        raise UsageError("expected at least one loss, got none; give ce, margin, dlr or kl")
    left_out: list[str] = []
    if attacks is not None:
        named = asked(attacks)
        for one in named:
            _admit(one.attack, threat)
        wanted = dict.fromkeys(wishes, named)
    else:
        wanted = {wish: _effort(effort, wish, threat, left_out) for wish in wishes}
    every = [one for found in wanted.values() for one in found]
    later = attacks is None and access is not Access.GRADIENTS
    for word in () if later else settings:
        if not any(word in one.free for one in every):
            raise UsageError(
                f"expected an attack whose {word} may be set, got {_names(every)}; leave {word} out"
            )
    if losses is not None and not any(_open(one) for one in every):
        raise UsageError(f"expected an attack that takes losses, got {_names(every)}; leave losses out")
    searches = {}
    for wish, found in wanted.items():
        given = {} if later else settings
        expanded = [s for one in found for s in _expanded(one.having(given), losses or LOSSES)]
        if shape is not None:
            for search in expanded:
                _rehearse(search, threat, shape)
        opened = [s for search in expanded for s in search.opened(classes, wish == "hypocritical")]
        searches[wish] = tuple({search.identity: search for search in opened}.values())
    made = Plan(searches, None if attacks is not None else effort, tuple(dict.fromkeys(left_out)))
    return made if access is Access.GRADIENTS else made.seeing(access, threat, settings, asked=True)


def _effort(effort: str, wish: str, threat: Threat, left_out: list[str], first: bool = True) -> list[Asked]:
    """The attacks of an effort that are there and can search the threat; `first` those of every question."""
    if hasattr(threat, "count"):
        return asked(_FINITE)
    found = []
    for text in filter(None, (EFFORTS[effort]["all"] if first else "", EFFORTS[effort].get(wish))):
        for one in asked(text):
            if able(one.attack, threat):
                found.append(one.freed())
            else:
                left_out.append(type(one.attack).__name__)
    return found


def _admit(attack: Attack, threat: Threat) -> None:
    """Refuse an attack that cannot search the threat, and name those that can."""
    if not able(attack, threat):
        kind = type(threat).__name__.lower()
        others = [name for name, part in catalog("attacks").items() if kind in (part.card.threats or [kind])]
        raise UsageError(
            f"expected an attack that can search {kind}, got {type(attack).__name__.lower()}; "
            f"these can: {', '.join(others)}"
        )


def _seen_by(access: Access, threat: Threat) -> list[str]:
    """Attacks that need just so much, and can search the threat."""
    parts, kind = catalog("attacks"), type(threat).__name__.lower()
    fit = {name: part.card for name, part in parts.items() if part.card.access is access}
    return [name for name, card in fit.items() if not card.threats or kind in card.threats]


def _open(one: Asked) -> bool:
    return one.loss is None and not chooses(one.attack)


def _expanded(one: Asked, losses: Sequence[str]) -> list[Search]:
    return [Search(one.attack, loss) for loss in (losses if _open(one) else [one.loss])]


def _names(every: Sequence[Asked]) -> str:
    return ", ".join(dict.fromkeys(type(one.attack).__name__.lower() for one in every))


def _rehearse(search: Search, threat: Threat, shape: tuple[int, ...]) -> None:
    """Search no rows at all, so that a wrong setting is said before anything long begins."""
    none = torch.zeros(0, dtype=torch.int64)
    batch, wish = Batch(torch.zeros(0, *shape), none, none), search.wish("untargeted")
    with contextlib.suppress(ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
        search.attack(_nothing, batch, threat=threat, objective=wish, key=Key(0))


def _nothing(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1).sum(1, keepdim=True).expand(-1, 4)
