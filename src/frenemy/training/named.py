"""Recipes as people write them: `pgdat`, `trades(beta=6,steps=10)`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from frenemy.calls import Call, calls, fitting, setting
from frenemy.catalog import catalog
from frenemy.errors import UsageError, nearest

if TYPE_CHECKING:
    from frenemy.training.recipe import Preset, Recipe

__all__ = ["made", "method", "recipe"]

_FIX: Final = "write pgdat, or trades(beta=6,steps=10); see frenemy list recipes"


def recipe(text: str) -> Recipe:
    """Make the recipe that somebody wrote.

    Raises:
        UsageError: the method, a setting or a value is unknown or wrong.
    """
    return made(method(text))


def method(text: str) -> Call:
    """Read the name of one method and its settings; none of its code is loaded.

    Raises:
        UsageError: the text is none, or the method is unknown.
    """
    found = calls(text, "method", _FIX)
    if len(found) != 1:
        raise UsageError(f"expected one method, got {len(found)}; {_FIX}")
    if found[0].name not in catalog("training"):
        raise UsageError(f"unknown method '{found[0].name}'{nearest(found[0].name, catalog('training'))}")
    return found[0]


def made(call: Call, preset: Preset | None = None) -> Recipe:
    """Make the recipe of a call, whose settings count before those of a preset.

    Raises:
        UsageError: a setting or a value is unknown or wrong.
    """
    maker = catalog("training")[call.name].load()
    hints, names = get_type_hints(maker), [one.name for one in dataclasses.fields(maker)]
    given: dict[str, Any] = dict(preset.recipe) if preset else {}
    for word, value in call.settings.items():
        setting(call.name, word, names)
        given[word] = fitting(call.name, word, value, hints[word])
    found: Recipe = maker(**given)
    return found
