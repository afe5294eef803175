"""What searches by labels reach beside those of other libraries (benchmarks/labels.py), as a table for a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import panels

__all__ = ["ratios", "read", "table"]

_RESULTS: Final = Path("docs/results/labels_mnist.json")


def ratios(line: dict[str, Any], base: dict[str, Any], points: int) -> list[tuple[float, float]]:
    """How many times as far as the base after so many queries: geometric mean over points, and its standard error.

    Starts of one point are averaged first, since they are no independent points. Those at which either found nothing
    (null) are left out.

    Args:
        line, base: with `distances`, a row for each point of the first start, then of the second, and so on.
        points: how many there are.
    """
    far, near = (np.log(np.array(one["distances"], dtype=float)) for one in (line, base))
    found = []
    for column in (far - near).T:
        starts = np.ma.masked_invalid(column.reshape(-1, points))
        logs = starts.mean(0).compressed()
        mean = float(np.exp(logs.mean()))
        found.append((mean, mean * float(logs.std(ddof=1)) / float(np.sqrt(len(logs)))))
    return found


def table(found: dict[str, Any]) -> str:
    """One line a search: medians, how far beside our search of the same name, and what a query costs."""
    searches = {name: line for name, line in found.items() if isinstance(line, dict)}
    lines, marks = [], next(iter(searches.values()))["queries"]
    for name, line in searches.items():
        own = searches[name.split(",")[0].split("(")[0]]
        beside = [
            "" if line is own else f"{mean:.2f} ± {error:.2f}"
            for mean, error in ratios(line, own, found["points"])
        ]
        within = f"{100 * line['within 1.5'][-1]:.0f} %"
        over = line["microseconds"] / line["floor"]
        cost = f"{line['microseconds']:.0f}, {over:.2f}x"
        lines.append([name, *(f"{far:.2f}" for far in line["median"]), *beside, within, cost])
    head = [
        "search",
        *(f"median after {mark:,}" for mark in marks),
        *(f"over ours after {mark:,}" for mark in marks),
    ]
    head += [f"within 1.5 at {marks[-1]:,}", "CPU µs a query, over a forward"]
    said = (
        f"{found['points']} images from {found['keys']} starts each. DDN, which follows gradients, reaches "
        f"{found['white box']:.2f}. A forward is of one row, 256 at a time, in the process of the search.\n\n"
    )
    return said + panels.table(head, lines)


def read() -> dict[str, Any]:
    """What was measured."""
    found: dict[str, Any] = json.loads(_RESULTS.read_text(encoding="utf-8"))
    return found
