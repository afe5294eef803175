"""Regimen: the settings of a training's regime as options, each left open."""

from __future__ import annotations

import dataclasses
from typing import Any, Final, get_type_hints

import docstring_parser

from frenemy.cli.options import at_least
from frenemy.training.regime import Regime

__all__ = ["REGIME", "Open"]

REGIME: Final = tuple(one.name for one in dataclasses.fields(Regime))
"""Names of the settings."""


def _option(one: dataclasses.Field[Any], kind: Any) -> tuple[str, Any, Any]:
    """Name, type and field of an option that is None unless it is given; several numbers are written as a text."""
    number = kind in (int, float)
    field = at_least(0, None) if number else dataclasses.field(default=None)
    return one.name, (kind if number else str) | None, field


def _told() -> str:
    """The docstring of the options: what the regime says of its settings, and what is usual."""
    parts = {
        p.arg_name: (p.description or "").rstrip(".")
        for p in docstring_parser.parse(Regime.__doc__ or "").params
    }
    lines = [
        f"    {one.name}: {' '.join(parts[one.name].split())}; usually {_usual(one)}."
        for one in dataclasses.fields(Regime)
    ]
    return "\n".join(["The regime of a training.", "", "Args:", *lines])


def _usual(one: dataclasses.Field[Any]) -> str:
    return "a tenth of the data, 1,000 at most" if one.name == "hold_out" else str(one.default or "none")


Open: Final[type] = dataclasses.make_dataclass(
    "Open",
    [_option(one, get_type_hints(Regime)[one.name]) for one in dataclasses.fields(Regime)],
    frozen=True,
    namespace={"__doc__": _told()},
)
"""The settings of a regime, or None each: a frozen dataclass to extend."""
