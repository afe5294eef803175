"""What searches by labels reach, reported by 004 and measured by scripts/black_box_tables.py, as tables for a page."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import panels

from frenemy.risks.estimate import proportion

SIZE: Final = 1.5
"""Of L2, for the success rate of Table 2.2."""
NAMES: Final = {
    "boundary": "Boundary",
    "guessingsmart": "Guessing Smart",
    "opt": "OPT",
    "signopt": "Sign-OPT",
    "svmopt": "SVM-OPT",
    "hopskipjump": "HopSkipJump",
    "cw": "C&W, white box",
}
TABLE_1: Final = {
    "mnist-trees": ("MNIST", {5125: 0.6113, 11858: 0.5576, 32230: 0.5505}),
    "phoneme-trees": ("phoneme (reported: HIGGS)", {4229: 0.3458, 11139: 0.2179, 29598: 0.1704}),
}
"""004, Table 2.1: average L2 of OPT after so many queries."""
WHITE: Final = 0.88
"""004, Table 2.2: average L2 of C&W, which follows gradients."""
TABLE_2: Final[dict[str, dict[int, tuple[float, float] | None]]] = {
    "boundary": {4000: (4.24, 1.0), 8000: (4.24, 1.0), 14000: (2.13, 16.3)},
    "opt": {4000: (3.65, 3.0), 8000: (2.41, 18.0), 14000: (1.76, 36.0)},
    "guessingsmart": {4000: (1.74, 41.0), 8000: (1.69, 42.0), 14000: (1.68, 43.0)},
    "signopt": {4000: (1.54, 46.0), 8000: (1.18, 84.0), 14000: (1.09, 94.0)},
    "svmopt": {4000: None, 8000: None, 14000: None},
    "cw": {0: (WHITE, 99.0)},
}
"""004, Table 2.2, MNIST: average L2, and success rate at 1.5 in %; 0 stands for no count of queries."""
FIGURE: Final = (
    ("Sign-OPT, Q = 50", "signopt(directions=50)"),
    ("Sign-OPT, Q = 100", "signopt"),
    ("Sign-OPT, Q = 200", "signopt(directions=200)"),
    ("Sign-OPT, Q = 400", "signopt(directions=400)"),
    ("SVM-OPT, Q = 100", "svmopt"),
    ("SVM-OPT, Q = 200", "svmopt(directions=200)"),
)
"""004, Fig. 2.5, whose curves are only drawn; Q = 200 there."""


def read(file: Path) -> dict[str, Any]:
    """Read what was measured: models and their accuracy, and cells; nothing where there is no file."""
    kept: dict[str, Any] = {"models": {}, "cells": []}
    return kept | json.loads(file.read_text(encoding="utf-8")) if file.exists() else kept


def text(kept: dict[str, Any]) -> str:
    """Write it down, a line a cell."""
    cells = ",\n  ".join(json.dumps(row) for row in kept["cells"])
    return f'{{\n "models": {json.dumps(kept["models"])},\n "cells": [\n  {cells}\n ]\n}}\n'


def at(row: dict[str, Any], mark: int) -> list[float]:
    """Distances of all examples after so many queries, infinite where nothing was found; 0 is the end."""
    place = row["queries"].index(mark) if mark else -1
    return [math.inf if line[place] is None else line[place] for line in row["distances"]]


def mean(far: list[float]) -> str:
    """Write the mean with its standard error, and of how many it is where some found nothing."""
    found = [d for d in far if d < math.inf]
    if len(found) < 2:
        return "none"
    error = statistics.stdev(found) / math.sqrt(len(found))
    of = f", of {len(found)}" if len(found) < len(far) else ""
    return f"{statistics.fmean(found):.3f} ± {error:.2g}{of}"


def means(row: dict[str, Any]) -> list[str]:
    """Write the means at all marks."""
    return [mean(at(row, mark)) for mark in row["queries"]]


def _cell(kept: dict[str, Any], model: str, attack: str) -> dict[str, Any] | None:
    """Of the rows of a cell, that with the most examples."""
    rows = [row for row in kept["cells"] if (row["model"], row["attack"]) == (model, attack)]
    return max(rows, key=lambda row: row["n"], default=None)


def trees(kept: dict[str, Any]) -> str:
    """004, Table 2.1: boosted trees."""
    lines = []
    for model, (name, reported) in TABLE_1.items():
        for attack in ("opt", "signopt", "hopskipjump"):
            if (row := _cell(kept, model, attack)) is None:
                continue
            for mark in row["queries"]:
                said = f"{reported[mark]:.4f}" if attack == "opt" and mark in reported else ""
                far = at(row, mark)
                lines.append(
                    [name, NAMES[attack], f"{mark:,}", said, mean(far), f"{statistics.median(far):.3f}"]
                )
    head = ["trees", "search", "queries", "mean L2 reported", "mean L2 measured", "median measured"]
    return _said(kept, TABLE_1) + panels.table(head, lines)


def lenet(kept: dict[str, Any]) -> str:
    """004, Table 2.2: a LeNet on MNIST, beside the white box."""
    white = _cell(kept, "lenet-plain", "cw")
    base, lines = statistics.fmean(at(white, 0)) if white else math.nan, []
    for attack, reported in TABLE_2.items():
        if (row := _cell(kept, "lenet-plain", attack)) is None:
            continue
        for mark, said in reported.items():
            far = at(row, mark)
            within = proportion(sum(d <= SIZE for d in far), len(far))
            lines.append(
                [
                    NAMES[attack],
                    f"{mark:,}" if mark else "",
                    f"{said[0]:.2f}" if said else "",
                    mean(far),
                    f"{said[0] / WHITE:.2f}" if said else "",
                    f"{statistics.fmean(far) / base:.2f}",
                    f"{said[1]:.1f}" if said else "",
                    f"{100 * within.value:.0f} [{100 * within.low:.0f}, {100 * within.high:.0f}]",
                ]
            )
    head = ["search", "queries", "mean L2 reported", "measured", "over C&W's reported", "measured"]
    head += [f"% within {SIZE:g} reported", "measured"]
    return _said(kept, ("lenet-plain",)) + panels.table(head, lines) + _fallen(kept)


def _fallen(kept: dict[str, Any]) -> str:
    """Say where a last point lies so near the border that the model's ordinary kernels answer it rightly."""
    short = [row for row in kept["cells"] if row["model"] == "lenet-plain" and row["stand"] < row["n"]]
    if not short:
        return ""
    names = ", ".join(f"{row['attack']} {row['n'] - row['stand']}" for row in short)
    return (
        "\n\nLast points so near the border that the fast kernels, which searched, answer them wrongly and the "
        f"ordinary ones rightly: {names}."
    )


def directions(kept: dict[str, Any]) -> str:
    """004, Fig. 2.5: directions a slope, and both ways to make a slope of signs."""
    lines, marks = [], list[int]()
    for name, attack in FIGURE:
        if (row := _cell(kept, "lenet-plain", attack)) is not None:
            marks = row["queries"]
            lines.append([name, *(f"{statistics.median(at(row, mark)):.3f}" for mark in marks)])
    return panels.table(["median L2 after", *(f"{mark:,}" for mark in marks)], lines)


def _said(kept: dict[str, Any], models: Any) -> str:
    """Say how many examples, and how good each model is."""
    parts = []
    for model in models:
        counts = {row["n"] for row in kept["cells"] if row["model"] == model}
        if counts and model in kept["models"]:
            share, rows = kept["models"][model]["accuracy"], kept["models"][model]["rows"]
            parts.append(
                f"`{model}`: {100 * share:.2f} % right on {rows:,} test rows, {max(counts)} searched."
            )
    return " ".join(parts) + "\n\n"


TABLES: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "trees": trees,
    "lenet": lenet,
    "directions": directions,
}
"""What stands on the page under each mark."""
