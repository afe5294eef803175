"""What the tables of scripts/training_tables.py are made of: studies, and the lines of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Study:
    """What all lines of a table share: how many training images, the first of the data, how many of them are held out,
    and by what the first `tested` test images are judged.
    """

    data: str = "mnist"
    rows: int = 10_000
    held: int = 1_000
    tested: int = 5_000
    attacks: str = "pgd(steps=20), apgd(steps=30)"
    losses: tuple[str, ...] | None = ("ce", "margin")
    precision: str = "float32"


STUDIES: Final = {
    "hypocrisy": Study(),
    "capacity": Study(),
    "selection": Study(data="fashion-mnist", rows=1_500, held=500),
    "whole": Study(rows=60_000, tested=500, attacks="autoattack", losses=None, precision="bfloat16"),
}


@dataclass(frozen=True)
class Case:
    """One line of a table: a method, a net and how it is trained; `reported` is what the paper has there."""

    study: str
    name: str
    recipe: str
    net: str
    eps: float
    regime: dict[str, Any] = field(default_factory=dict)
    reported: str = ""


def _hypocrisy(recipe: str, name: str, reported: str) -> Case:
    regime = {"epochs": 8, "select": "robust" if recipe == "pgdat" else "clean"}
    return Case("hypocrisy", name, recipe, "mlp", 0.2, regime, reported)


def _whole(recipe: str, name: str, reported: str = "") -> Case:
    regime = {
        "epochs": 40,
        "batch_size": 512,
        "rate": 2e-3,
        "schedule": "one-cycle",
        "peak": 0.3,
        "warm_up": 8,
        "attack_precision": "bfloat16",
    }
    return Case("whole", name, recipe, "smallcnn", 0.3, regime, reported)


def _selection(select: str, name: str) -> Case:
    regime = {
        "epochs": 100,
        "batch_size": 64,
        "rate": 2e-3,
        "attack_precision": "bfloat16",
        "select": select,
    }
    return Case("selection", f"PGD-AT, {name} epoch", "pgdat(steps=7)", "smallcnn", 0.05, regime)


def _capacity(recipe: str, name: str, capacity: int) -> Case:
    regime = {"epochs": 20, "select": "last"}
    return Case("capacity", f"{name}, capacity {capacity}", recipe, f"capacity {capacity}", 0.3, regime)


CASES: Final = (
    _hypocrisy("standard", "Standard", "0.6 / 100.0 / -"),
    _hypocrisy("pgdat", "PGD-AT (Madry)", "0.9 / 93.8 / -"),
    _hypocrisy("trades(beta=1)", "TRADES, 1", "0.9 / 92.8 / 5.5"),
    _hypocrisy("trades(beta=40)", "TRADES, 40", "2.7 / 56.2 / -"),
    _hypocrisy("trades(beta=240)", "TRADES, 240", "9.3 / 30.6 / -"),
    _hypocrisy("thrm(lamb=100)", "THRM, 100", "0.7 / 99.5 / -"),
    _hypocrisy("thrm(lamb=600)", "THRM, 600", "1.6 / 66.3 / -"),
    _hypocrisy("thrm(lamb=5000)", "THRM, 5000", "9.2 / 22.6 / -"),
    *(
        _capacity(recipe, name, capacity)
        for capacity in (1, 2, 3, 4)
        for recipe, name in (
            ("standard", "Standard"),
            ("pgdat", "PGD-AT"),
            ("sense(c=0.5)", "SENSE, c = 0.5"),
            ("sense(c=0.7)", "SENSE, c = 0.7"),
        )
    ),
    _selection("robust", "best"),
    _selection("last", "last"),
    _whole("pgdat", "PGD-AT"),
    _whole("trades(beta=1)", "TRADES, 1"),
    _whole("sense(c=0.7)", "SENSE, c = 0.7", "0.5 / - / 8.3"),
)
