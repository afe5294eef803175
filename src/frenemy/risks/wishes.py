"""Wishes: the three questions of an audit by name, as an engineer or as a paper would call them."""

from __future__ import annotations

from typing import Final

from frenemy.errors import UsageError, nearest
from frenemy.objectives.hypocritical import Hypocritical
from frenemy.objectives.objective import Objective
from frenemy.objectives.reversal import Reversal
from frenemy.objectives.surrogates import surrogate
from frenemy.objectives.untargeted import Untargeted

__all__ = ["WHO", "wish_named", "wished"]

WHO: Final = {"untargeted": "an enemy", "hypocritical": "a false friend", "reversal": "a reversal"}
"""Whose work each objective is, in words."""

_ALIASES: Final = {"enemy": "untargeted", "friend": "hypocritical", "false-friend": "hypocritical"}


def wish_named(word: str) -> str:
    """Give an objective of an audit its one name: `enemy` is `untargeted`, `friend` is `hypocritical`."""
    plain = word.strip().lower().replace("_", "-").replace(" ", "-")
    name = _ALIASES.get(plain, plain)
    if name not in WHO:
        raise UsageError(f"unknown objective '{word}'{nearest(plain, [*WHO, *_ALIASES])}")
    return name


def wished(name: str, loss: str) -> Objective:
    """Build the objective called `name` over the surrogate called `loss`."""
    slope = surrogate(loss)
    if name == "untargeted":
        return Untargeted(slope)
    return Hypocritical(slope) if name == "hypocritical" else Reversal(slope)
