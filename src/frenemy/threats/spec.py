"""Threats as people write them: `linf:8/255`, `l1:12`, `l0:20`, `sphere-l2:4`, `spatial:30,3`, `invariances`."""

from __future__ import annotations

import re

from torch import Tensor

from frenemy.catalog import catalog, find
from frenemy.errors import ThreatError, nearest
from frenemy.threats.finite import read, written
from frenemy.threats.threat import Threat

__all__ = ["parse", "spell"]

_SPHERE = "sphere"
_DECIMAL = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?"
_SIZE = re.compile(rf"({_DECIMAL})(?:/({_DECIMAL}))?", re.ASCII | re.IGNORECASE)


def parse(text: str, *, low: float | Tensor = 0.0, high: float | Tensor = 1.0) -> Threat:
    """Read a threat from `name:size`, or from `name:setting,setting,...` where it is finite and has no size.

    Args:
        text: a ball of the catalog, with `sphere-` before it for the exact norm; a colon; the size, 0 or larger,
            as a decimal number or a fraction of two. Or a finite threat; a colon; its first settings, those that are
            left out as usual. Case and outer blanks do not matter.
        low, high: the box, one number or one a feature.

    Raises:
        ThreatError: the name is unknown, the size is missing, negative or no finite number, a setting does not fit, or
            the box is none.

    Example:
        >>> parse("linf:8/255").eps
        0.03137254901960784
    """
    name, colon, size = (part.strip().lower() for part in text.partition(":"))
    makers = {word: part.load() for word, part in catalog("threats").items()}
    finite = {word for word, maker in makers.items() if hasattr(maker, "count")}
    balls = makers.keys() - finite - {_SPHERE}
    known = balls | finite | {f"{_SPHERE}-{ball}" for ball in balls if getattr(makers[ball], "order", 0) >= 1}
    if name not in known:
        raise ThreatError(f"unknown threat '{name}'{nearest(name, known)}")
    if name in finite:
        family: Threat = makers[name](**read(makers[name], size), low=low, high=high)
        return family
    if not colon or not size:
        raise ThreatError(f"expected a size after '{name}', got '{text}'; write {name}:8/255 or {name}:0.5")
    eps = _size(size, text)
    ball = find("threats", name.removeprefix(f"{_SPHERE}-")).load()(eps, low=low, high=high)
    threat: Threat = find("threats", _SPHERE).load()(ball) if name.startswith(_SPHERE) else ball
    return threat


def spell(threat: Threat) -> str:
    """Write the name of a threat without its size: `linf`, `sphere-l2`; `parse(f"{spell(t)}:{t.eps}")` reads it.

    A finite threat has no size, and is written with its settings: `spatial:30,3`; `parse(spell(t))` reads it.
    """
    name = type(threat).__name__.lower()
    if hasattr(threat, "count"):
        return f"{name}:{written(threat)}".rstrip(":")
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
