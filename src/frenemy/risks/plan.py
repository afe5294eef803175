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
from frenemy.risks.efforts import EFFORTS, of_effort
from frenemy.risks.named import Asked, asked
from frenemy.risks.search import Search, able, chooses
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["LOSSES", "Plan", "plan"]

LOSSES: Final = ("ce", "margin")
"""What attacks climb that take a loss, where none is asked for."""

_MORE: Final = {Access.SCORES: "gradient", Access.LABELS: "scores or gradients"}
"""What an attack must not need, where no more is seen than this."""


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """The searches of each question, in the order in which they run.

    Args:
        searches: by objective.
        effort: the effort it was made for; None where attacks were named.
        left_out: attacks of the effort that cannot search this threat.
        idle: by objective, searches that need more than is seen of the model.
        seen: the most that is seen of the model.
        chosen: whether no more is to be seen; else no more is there.
    """

    searches: Mapping[str, tuple[Search, ...]]
    effort: str | None
    left_out: tuple[str, ...] = ()
    idle: Mapping[str, tuple[Search, ...]] | None = None
    seen: Access = Access.GRADIENTS
    chosen: bool = False

    @property
    def starts(self) -> bool:
        """Whether some search may start from given examples."""
        return any(hasattr(search.attack, "others") for found in self.searches.values() for search in found)

    def told(self) -> dict[str, list[str]]:
        """What is run, for the record."""
        return {wish: [search.identity for search in found] for wish, found in self.searches.items()}

    def seeing(
        self, access: Access, threat: Threat, settings: Mapping[str, Any], chosen: bool = False
    ) -> Plan:
        """The same where no more is seen than `access`: searches that need more stand idle, if there are others.

        Args:
            settings: for the attacks of the effort that come instead.
            chosen: whether no more is to be seen; else no more is there.

        Raises:
            UsageError: no attack is left, or a setting concerns none of those that come instead.
        """
        idle, left = {}, {}
        for wish, found in self.searches.items():
            more = tuple(s for s in found if s.access.rank > access.rank)
            left[wish] = tuple(s for s in found if s.access.rank <= access.rank)
            if self.effort is None and not left[wish]:
                raise UsageError(
                    f"expected an attack that needs no {_MORE[access]}, since no more is "
                    f"{'to be seen of this model' if chosen else 'to be had from this model'}, got "
                    f"{', '.join(s.name for s in more)}; choose one of {_able(threat, access)}"
                )
            if self.effort is not None and more:
                spare = of_effort(self.effort, access.value, threat, [], first=False)
                if chosen:
                    _heed(settings, spare)
                left[wish] = tuple(Search(one.having(settings).attack) for one in spare)
                if not spare and access is Access.LABELS:
                    raise UsageError(f"expected l2 or linf for attacks by labels, got {_kind(threat)}")
            idle[wish] = more if left[wish] else ()
            left[wish] = left[wish] or more
        return replace(self, searches=left, idle=idle, seen=access, chosen=chosen)

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
    chosen: bool = True,
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
        chosen: whether no more is to be seen; else no more is there.

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
        wanted = {wish: of_effort(effort, wish, threat, left_out) for wish in wishes}
    every = [one for found in wanted.values() for one in found]
    given = {} if attacks is None and access is not Access.GRADIENTS else settings
    _heed(given, every)
    if losses is not None and not any(_open(one) for one in every):
        raise UsageError(f"expected an attack that takes losses, got {_names(every)}; leave losses out")
    searches = {}
    for wish, found in wanted.items():
        expanded = [s for one in found for s in _expanded(one.having(given), losses or LOSSES)]
        if shape is not None:
            for search in expanded:
                _rehearse(search, threat, shape)
        opened = [s for search in expanded for s in search.opened(classes, wish == "hypocritical")]
        searches[wish] = tuple({search.identity: search for search in opened}.values())
    made = Plan(searches, None if attacks is not None else effort, tuple(dict.fromkeys(left_out)))
    return made if access is Access.GRADIENTS else made.seeing(access, threat, settings, chosen)


def _admit(attack: Attack, threat: Threat) -> None:
    """Refuse an attack that cannot search the threat, and name those that can."""
    if not able(attack, threat):
        raise UsageError(
            f"expected an attack that can search {_kind(threat)}, got {type(attack).__name__.lower()}; "
            f"these can: {_able(threat)}"
        )


def _kind(threat: Threat) -> str:
    return type(threat).__name__.lower()


def _heed(settings: Mapping[str, Any], every: Sequence[Asked]) -> None:
    """Refuse a setting that no attack has left open."""
    for word in settings:
        if not any(word in one.free for one in every):
            raise UsageError(
                f"expected an attack whose {word} may be set, got {_names(every)}; leave {word} out"
            )


def _able(threat: Threat, access: Access | None = None) -> str:
    """Attacks that can search the threat, and need just so much."""
    kind, parts = _kind(threat), catalog("attacks")
    cards = {name: part.card for name, part in parts.items() if access in (None, part.card.access)}
    return ", ".join(name for name, card in cards.items() if kind in (card.threats or [kind]))


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
