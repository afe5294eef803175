"""Plausible: is this a model of these data at all?"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from frenemy.risks.estimate import proportion
from frenemy.risks.trust import Finding

__all__ = ["about_fit"]

_ENOUGH: Final = 50
"""Examples below which nothing is said."""
_EACH: Final = 10
"""Examples a class, on average, below which nothing is said of its number: any answers can be matched to few."""
_MATCHED: Final = 0.5
_GAINED: Final = 0.3
"""Share that renumbered classes must get right, and how far that must be above guessing and above what they get now."""
_NAMED: Final = 10


def about_fit(
    labels: NDArray[np.int64], answers: NDArray[np.int64], classes: tuple[str, ...]
) -> list[Finding]:
    """Say so where the answers are no better than one answer for all, and where only their numbering seems wrong.

    Args:
        labels: `(n,)` what is right.
        answers: `(n,)` what the model says to the clean inputs.
        classes: names, by number.

    Example:
        >>> import numpy as np
        >>> labels = np.arange(60) % 3
        >>> [finding.name for finding in about_fit(labels, (labels + 1) % 3, ("a", "b", "c"))]
        ['answers at chance', 'classes out of order']
    """
    n = len(labels)
    if n < _ENOUGH:
        return []
    right, commonest = proportion(int((labels == answers).sum()), n), np.bincount(labels).max() / n
    if right.low > commonest:
        return []
    seen = (
        f"The model is right on {100 * right.value:.1f} % of the clean inputs; one answer for all would be on "
        f"{100 * commonest:.1f} %."
    )
    fix = (
        "Was it trained for these data, are its weights loaded, and does it get inputs scaled as it wants "
        "(`--mean`, `--std`)?"
    )
    found = [Finding("answers at chance", seen, "note", fix)]
    count = np.zeros((len(classes), max(len(classes), int(answers.max()) + 1)), np.int64)
    np.add.at(count, (labels, answers), 1)
    rows, columns = linear_sum_assignment(-count)
    matched = count[rows, columns].sum() / n
    if n >= _EACH * len(classes) and matched >= _MATCHED and matched - max(right.value, commonest) > _GAINED:
        moved = [f"{columns[k]} for {k} ({classes[k]})" for k in rows if columns[k] != k and count[k].any()]
        shown = ", ".join(moved[:_NAMED]) + (", and so on" if len(moved) > _NAMED else "")
        seen = f"With its classes renumbered it would be right on {100 * matched:.1f} %: it says {shown}."
        fix = "Give a model whose outputs stand in the order of the data's classes."
        found.append(Finding("classes out of order", seen, "note", fix))
    return found
