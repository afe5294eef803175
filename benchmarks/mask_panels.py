"""What the masks of batch norm trade, as a person reads it, put into docs/masks.md between its marks."""

from __future__ import annotations

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
        name: next(row for row in found[block]["rows"] if row["p"] == p)
        for block, pair in PAIRS.items()
        if block in found
        for p, name in zip((0.0, 1.0), pair, strict=True)
    }
    rows = [
        [name, REPORTED[name], cell(ends[name]["clean"]), cell(ends[name]["robust"])]
        for name in REPORTED
        if name in ends
    ]
    return panels.table(["model", "reported clean / robust", "clean %", "robust %"], rows)


def between(found: dict[str, Any]) -> str:
    """What lies between the ends, and the middle with the statistics of either."""
    lines = [
        [block, f"{row['p']:g}", cell(row["clean"]), cell(row["robust"]), row["trust"]]
        for block, one in found.items()
        for row in sorted(one["rows"], key=lambda row: -row["p"])
    ]
    for block, one in found.items():
        for key, which in (("first", "A"), ("second", "B")):
            row, name = one[key], f"{block}, statistics of {which}"
            lines.append([name, "0.4", cell(row["clean"]), cell(row["robust"]), row["trust"]])
    return panels.table(["block", "p", "clean %", "robust %", "trust"], lines)


def methods(found: dict[str, Any]) -> str:
    """Clean accuracy of what was trained with masks, and without."""
    names = {"standard": "BN", "AdvProp": "AdvProp", "RobMask": "RobMask"}
    rows = [[told, cell(found[name]["clean"])] for name, told in names.items() if name in found]
    return panels.table(["method", "clean %"], rows)


def own(found: dict[str, Any]) -> str:
    """Each mask of a method, and an enemy who chooses among them."""
    rows = [
        [name, f"{row['p']:g}", cell(row["clean"]), cell(row["robust"]), row["trust"]]
        for name, one in found.items()
        for row in one["rows"]
    ]
    rows += [[name, "worst", "", cell(one["worst"]), ""] for name, one in found.items()]
    return panels.table(["method", "mask p", "clean %", "robust %", "trust"], rows)


def cost(least: dict[str, float]) -> str:
    """Seconds of an epoch."""
    rows = [[name, f"{value:.2f}", f"{value / least['advprop']:.2f}"] for name, value in least.items()]
    return panels.table(["method", "s an epoch", "of AdvProp"], rows)


def cell(one: list[float]) -> str:
    """A number and its interval."""
    return panels.over_seeds([one], 1)
