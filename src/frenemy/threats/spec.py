"""Threats as people write them: `linf:8/255`, `l2:0.5`, `l1:12`, `sphere-l2:4`."""

from __future__ import annotations

import re

from torch import Tensor

from frenemy.catalog import catalog, find
from frenemy.errors import ThreatError, nearest
from frenemy.threats.threat import Threat

__all__ = ["parse", "spell"]

_SPHERE = "sphere"
_DECIMAL = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?"
_SIZE = re.compile(rf"({_DECIMAL})(?:/({_DECIMAL}))?", re.ASCII | re.IGNORECASE)


def parse(text: str, *, low: float | Tensor = 0.0, high: float | Tensor = 1.0) -> Threat:
    """Read a threat from `name:size`.

    Args:
        text: a ball of the catalog, with `sphere-` before it for the exact norm; a colon; the size, 0 or larger,
            as a decimal number or a fraction of two. Case and outer blanks do not matter.
        low, high: the box, one number or one a feature.

    Raises:
        ThreatError: the name is unknown, the size is missing, negative or no finite number, or the box is none.

    Example:
        >>> parse("linf:8/255").eps
        0.03137254901960784
    """
    name, colon, size = (part.strip().lower() for part in text.partition(":"))
    balls = catalog("threats").keys() - {_SPHERE}
    known = balls | {f"{_SPHERE}-{ball}" for ball in balls}
    if name not in known:
        raise ThreatError(f"unknown threat '{name}'{nearest(name, known)}")
    if not colon or not size:
        raise ThreatError(f"expected a size after '{name}', got '{text}'; write {name}:8/255 or {name}:0.5")
    eps = _size(size, text)
    ball = find("threats", name.removeprefix(f"{_SPHERE}-")).load()(eps, low=low, high=high)
    threat: Threat = find("threats", _SPHERE).load()(ball) if name.startswith(_SPHERE) else ball
    return threat


def spell(threat: Threat) -> str:
    """Write the name of a threat without its size: `linf`, `sphere-l2`; `parse(f"{spell(t)}:{t.eps}")` reads it."""
    name = type(threat).__name__.lower()
    ball = getattr(threat, "ball", None)
    return name if ball is None else f"{name}-{spell(ball)}"


def _size(size: str, text: str) -> float:
    match = _SIZE.fullmatch(size)
    below = float(match[2] or 1) if match else 0.0
    if match is None or below == 0:
        raise ThreatError(
            f"expected a size of 0 or larger as a number or a fraction, got '{size}' in '{text}'; "
            "write it such as 0.5 or 8/255"
        )
    return float(match[1]) / below
