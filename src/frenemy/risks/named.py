"""Attacks as people write them: `pgd`, `pgd(steps=100, restarts=5)`, `pgd(loss=margin), square(queries=1000)`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, final, get_type_hints

from frenemy.attacks.attack import Attack
from frenemy.calls import Call, calls, fitting, setting
from frenemy.catalog import catalog
from frenemy.errors import UsageError, nearest
from frenemy.objectives.surrogates import surrogate
from frenemy.risks.search import Search

__all__ = ["Asked", "asked"]

_FIX: Final = "write pgd, or pgd(steps=100,loss=margin), several separated by commas"


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """An attack that was asked for.

    Args:
        attack: the attack.
        loss: the one that was asked for with it.
        free: settings that were left open, and may be set for all attacks at once.
    """

    attack: Attack
    loss: str | None = None
    free: frozenset[str] = frozenset()

    def freed(self) -> Asked:
        """The same with every setting left open; its own are then what it starts from."""
        every = frozenset(one.name for one in dataclasses.fields(cast(Any, self.attack)))
        return dataclasses.replace(self, free=every)

    def having(self, settings: Mapping[str, Any]) -> Asked:
        """The same with those of the settings that were left open."""
        own = {name: value for name, value in settings.items() if name in self.free}
        if not own:
            return self
        return dataclasses.replace(
            self, attack=cast(Attack, dataclasses.replace(cast(Any, self.attack), **own))
        )


def asked(wanted: str | Attack | Search | Sequence[str | Attack | Search]) -> list[Asked]:
    """Read one attack or several: words of the catalog with settings in brackets, attacks, or searches.

    Raises:
        UsageError: a name, a setting or a value is unknown or wrong; the text is none; or there is nothing.
    """
    if isinstance(wanted, str):
        return _read(wanted)
    if isinstance(wanted, Search):
        return [Asked(_sound(wanted.attack), wanted.loss)]
    if not isinstance(wanted, list | tuple):
        return [Asked(_sound(wanted))]
    found = [one for part in wanted for one in asked(part)]
    if not found:
        raise UsageError(f"expected at least one attack, got none; {_FIX}")
    return found


def _sound(attack: object) -> Attack:
    if (
        not isinstance(attack, Attack)
        or isinstance(attack, type)
        or not hasattr(attack, "__dataclass_fields__")
    ):
        raise UsageError(
            f"expected an attack such as PGD(steps=50), a frozen dataclass with its settings, got {attack!r:.80}; "
            "give an instance, or the name of one in the catalog"
        )
    return attack


def _read(text: str) -> list[Asked]:
    return [_attack(call) for call in calls(text, "attack", _FIX, catalog("attacks").__contains__)]


def _attack(call: Call) -> Asked:
    known = catalog("attacks")
    if call.name not in known:
        raise UsageError(f"unknown attack '{call.name}'{nearest(call.name, known)}")
    maker, given, loss = known[call.name].load(), {}, None
    hints = get_type_hints(maker)
    names = [one.name for one in dataclasses.fields(maker)]
    for word, value in call.settings.items():
        if word == "loss" and "loss" not in names:
            loss = str(value)
            surrogate(loss)
        else:
            setting(call.name, word, [*names, "loss"])
            given[word] = _fitting(call.name, word, value, hints[word])
    return Asked(maker(**given), loss, frozenset(names) - given.keys())


def _fitting(attack: str, name: str, value: Any, hint: Any) -> Any:
    """A value of the kind of its setting; attacks within attacks are made."""
    inner = value if isinstance(value, tuple) else (value,)
    if inner and all(isinstance(part, Call) for part in inner):
        made = tuple(_attack(part).attack for part in inner)
        return made if isinstance(value, tuple) or "tuple" in str(hint) else made[0]
    return fitting(attack, name, value, hint)
