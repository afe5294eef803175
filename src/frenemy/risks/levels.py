"""Levels: points rounded to what an image file can hold, judged again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from frenemy.data.examples import Examples
from frenemy.errors import UsageError
from frenemy.risks.attempt import Cost
from frenemy.risks.estimate import proportion
from frenemy.risks.headline import Headline
from frenemy.risks.inquiry import Inquiry
from frenemy.risks.pool import Pool
from frenemy.risks.result import Measurement
from frenemy.risks.summary import COUNTED
from frenemy.risks.trust import Finding
from frenemy.risks.wishes import WHO

__all__ = ["about_levels", "check_levels"]


def check_levels(bits: int, examples: Examples) -> None:
    """Refuse to round what is no picture in [0, 1].

    Raises:
        UsageError: there are less than 1 or more than 16 bits, or inputs have another box, or are rows of features.
    """
    if not 1 <= bits <= 16:
        raise UsageError(f"expected from 1 to 16 bits to quantise to, got {bits}; image files mostly hold 8")
    ends = (examples.low, examples.high)
    if any(isinstance(end, Tensor) for end in ends) or ends != (0.0, 1.0) or examples.x.ndim < 3:
        raise UsageError(
            f"expected pictures in [0, 1] to quantise, got inputs of {examples.name} of shape "
            f"{tuple(examples.x.shape[1:])}; leave quantise out"
        )


def about_levels(
    inquiry: Inquiry,
    found: Headline,
    judged: NDArray[np.int64],
    bits: int,
    kind: str,
    eps: float,
    around: bool,
) -> tuple[list[Finding], list[Measurement], dict[str, NDArray[Any]]]:
    """Count the successes at the asked eps that are still ones at the nearest levels inside the threat.

    Returns:
        A note for each objective; what its number would be if only these counted, role `quantised`; and for each
        example 1 where a success survives, 0 where it does not, -1 where there was none to round.
    """
    exact, whole = (Pool(inquiry.labels, inquiry.answers, around) for _ in range(2))
    for searches in found.searches.values():
        for result in (sought.result for sought in searches if len(sought.result["rows"])):
            for pool, of in ((exact, ""), (whole, "level_")):
                sound = result[f"{of}answer"] >= 0
                rows, answers = result["rows"][sound], result[f"{of}answer"][sound]
                pool.add(rows, answers, result[f"{of}distance"][sound])
    home, findings, numbers, columns = Pool(inquiry.labels, inquiry.answers, around), [], [], {}
    for wish in found.searches:
        before, after, there = (pool.known(wish, eps) for pool in (exact, whole, home))
        column = np.where(before & ~there, (after & before).astype(np.int64), -1)
        columns[f"{wish}_quantised"] = column
        n, kept = int((column[judged] >= 0).sum()), int((column[judged] == 1).sum())
        yields = (there | (column == 1))[judged]
        hits = ~yields if wish == "untargeted" else yields
        estimate = proportion(int(hits.sum()), len(judged))
        what = f"successes that survive rounding to {bits} bits"
        numbers.append(Measurement(COUNTED[wish], kind, eps, wish, what, estimate, Cost(), role="quantised"))
        seen = (
            f"Rounded to multiples of 1/{2**bits - 1} inside the threat and judged again, {kept} of {n} successes of "
            f"{WHO[wish]} survive."
        )
        if n:
            seen += f" If these alone counted, the number would be {estimate} %."
        findings.append(Finding("quantised", seen, "note"))
    return findings, numbers, columns
