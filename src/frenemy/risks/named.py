"""Attacks as people write them: `pgd`, `pgd(steps=100, restarts=5)`, `pgd(loss=margin), square(queries=1000)`."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, final, get_type_hints

import msgspec

from frenemy.attacks.attack import Attack
from frenemy.catalog import catalog
from frenemy.errors import UsageError, nearest
from frenemy.objectives.surrogates import surrogate
from frenemy.risks.search import Search

__all__ = ["Asked", "asked"]

_LONGEST: Final = 2000
_FIX: Final = "write pgd, or pgd(steps=100,loss=margin), several separated by commas"
_WORDS: Final = {"true": True, "yes": True, "false": False, "no": False, "none": None, "null": None}


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
    plain = re.sub(r"(?<=[A-Za-z_])-(?=[A-Za-z_])", "_", text.strip().rstrip(","))
    try:
        if len(plain) > _LONGEST or not plain:
            raise SyntaxError
        body = ast.parse(f"({plain},)", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise UsageError(f"expected names of attacks, got '{text[:80]}'; {_FIX}") from error
    nodes = body.elts if isinstance(body, ast.Tuple) else []
    return [_attack(node, text) for node in nodes]


def _attack(node: ast.expr, text: str) -> Asked:
    name, words = (node.func, node.keywords) if isinstance(node, ast.Call) else (node, [])
    if not isinstance(name, ast.Name) or (isinstance(node, ast.Call) and node.args):
        raise UsageError(f"expected names of attacks, got '{text[:80]}'; {_FIX}")
    known, plain = catalog("attacks"), name.id.lower().replace("_", "")
    if plain not in known:
        raise UsageError(f"unknown attack '{name.id}'{nearest(plain, known)}")
    maker, given, loss = known[plain].load(), {}, None
    hints = get_type_hints(maker)
    names = [one.name for one in dataclasses.fields(maker)]
    for word in words:
        if word.arg == "loss" and "loss" not in names:
            loss = str(_value(word.value, text))
            surrogate(loss)
        elif word.arg not in names:
            raise UsageError(
                f"unknown setting '{word.arg}' of {plain}{nearest(str(word.arg), [*names, 'loss'])}"
            )
        else:
            given[word.arg] = _fitting(plain, word.arg, _value(word.value, text), hints[word.arg])
    return Asked(maker(**given), loss, frozenset(names) - given.keys())


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name) and node.id.lower() in _WORDS:
        return _WORDS[node.id.lower()]
    if isinstance(node, ast.Name | ast.Call):
        known = catalog("attacks")
        name = node.func if isinstance(node, ast.Call) else node
        attack = isinstance(name, ast.Name) and name.id.lower().replace("_", "") in known
        if attack or not isinstance(node, ast.Name):
            return _attack(node, text).attack
        return node.id
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_value(part, text) for part in node.elts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        above, below = _value(node.left, text), _value(node.right, text)
        if isinstance(above, int | float) and isinstance(below, int | float) and below:
            return above / below
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise UsageError(f"expected plain values in '{text[:80]}', got something else; {_FIX}") from error


def _fitting(attack: str, name: str, value: Any, hint: Any) -> Any:
    """See that a value is of the kind of its setting."""
    inner = value if isinstance(value, tuple) else (value,)
    if inner and all(isinstance(part, Attack) for part in inner):
        several = "tuple" in str(hint)
        return inner if several else value
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError as error:
        kind = str(getattr(hint, "__name__", hint)) if isinstance(hint, type) else str(hint)
        raise UsageError(
            f"expected {name} of {attack} to be {kind}, got '{value}'; leave it out for the usual one"
        ) from error
    except TypeError:
        return value
