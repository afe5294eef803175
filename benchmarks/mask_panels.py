"""What the masks of batch norm trade, as a person reads it, put into docs/masks.md between its marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import panels

PAGE: Final = Path("docs/masks.md")
PAIRS: Final = {
    "adversarial": ("PGD-AT, batch norm tuned plainly", "adversarial"),
    "standard": ("standard, batch norm tuned by PGD-AT", "standard"),
}
"""The blocks of 004, Table 6.2: A, at p = 0, and B, at p = 1, as the table counts."""
REPORTED: Final = {
    "standard": "91.97 / 0.0",
    "standard, batch norm tuned by PGD-AT": "53.96 / 26.51",
    "adversarial": "78.47 / 48.67",
    "PGD-AT, batch norm tuned plainly": "86.96 / 5.83",
}
"""Clean and robust accuracy of 004, Table 6.1."""


def tables(found: dict[str, Any]) -> None:
    """Write the tables of the page."""
    for name, table in (
        ("tuning", tuning(found.get("between", {}))),
        ("between", between(found.get("between", {}))),
        ("methods", methods(found.get("clean", {}))),
        ("own", own(found.get("own", {}))),
        ("cost", cost(found.get("cost", {}).get("seconds", {}))),
    ):
        panels.fill(name, table, PAGE)


def tuning(found: dict[str, Any]) -> str:
    """Both ends of each block: a model as it was trained, and with its batch norm fine-tuned."""
    ends = {
        name: [one["rows"][end] for one in panels.of_seeds(found, block)]
        for block, pair in PAIRS.items()
        for end, name in zip((0, -1), pair, strict=True)
    }
    rows = [[name, reported, *cells(ends[name])[:-1]] for name, reported in REPORTED.items() if ends[name]]
    return panels.table(["model", "reported clean / robust", "clean %", "robust %"], rows)


def between(found: dict[str, Any]) -> str:
    """What lies between the ends, and the middle with the statistics of either."""
    lines = []
    for block in PAIRS:
        for same in zip(*(reversed(one["rows"]) for one in panels.of_seeds(found, block)), strict=True):
            lines.append([block, f"{same[0]['p']:g}", *cells(same)])
    for block in PAIRS:
        for key, which in (("first", "A"), ("second", "B")):
            if middle := [one[key] for one in panels.of_seeds(found, block)]:
                lines.append([f"{block}, statistics of {which}", f"{middle[0]['p']:g}", *cells(middle)])
    return panels.table(["block", "p", "clean %", "robust %", "trust"], lines)


def methods(found: dict[str, Any]) -> str:
    """Clean accuracy of what was trained with masks, and without."""
    names = {"standard": "BN", "AdvProp": "AdvProp", "RobMask": "RobMask"}
    rows = [
        [told, panels.over_seeds([one["clean"] for one in ran], 1)]
        for name, told in names.items()
        if (ran := panels.of_seeds(found, name))
    ]
    return panels.table(["method", "clean %"], rows)


def own(found: dict[str, Any]) -> str:
    """Each mask of a method, and an enemy who chooses among them."""
    lines, worst = [], []
    for name in ("AdvProp", "RobMask"):
        if ran := panels.of_seeds(found, name):
            for same in zip(*(one["rows"] for one in ran), strict=True):
                lines.append([name, f"{same[0]['p']:g}", *cells(same)])
            worst.append([name, "worst", "", panels.over_seeds([one["worst"] for one in ran], 1), ""])
    return panels.table(["method", "mask p", "clean %", "robust %", "trust"], lines + worst)


def cost(least: dict[str, float]) -> str:
    """Seconds of an epoch."""
    rows = [[name, f"{value:.2f}", f"{value / least['advprop']:.2f}"] for name, value in least.items()]
    return panels.table(["method", "s an epoch", "of AdvProp"], rows)


def cells(seeds: Sequence[dict[str, Any]]) -> list[str]:
    """Clean and robust accuracy of one mask over the seeds, and the verdicts on the latter."""
    verdicts = Counter(one["trust"] for one in seeds)
    told = [word if len(verdicts) == 1 else f"{word} {times}" for word, times in verdicts.most_common()]
    numbers = [panels.over_seeds([one[word] for one in seeds], 1) for word in ("clean", "robust")]
    return [*numbers, ", ".join(told)]
