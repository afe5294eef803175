"""Pictured: what `frenemy converge` and `frenemy landscape` saw, as figures with the numbers behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from frenemy.files import write_atomic
from frenemy.reports.panel import Line, Panel, drawn
from frenemy.reports.paper import on_paper
from frenemy.reports.relief import Relief, relieved
from frenemy.reports.sheet import Sheet, sheet
from frenemy.reports.words import interval, percent
from frenemy.risks.estimate import Estimate
from frenemy.risks.views import Convergence, Landscape

__all__ = ["converged", "surveyed"]

_AT_REST: Final = 0.01
"""Up to this share of the examples may still fall late, or to the last run, of a search that has come to rest."""

_SINGLES: Final = 3
_LOSSES: Final = {
    "ce": "cross-entropy, nats",
    "margin": "margin, logits",
    "dlr": "DLR",
    "kl": "divergence, nats",
}
_COUNTED: Final = {
    "untargeted": "accuracy under an enemy",
    "hypocritical": "accuracy with a false friend",
    "reversal": "share that keeps its answer",
}


@final
@dataclass(frozen=True, slots=True)
class _Told:
    """One model in a sentence, and whether it gives a reason for doubt."""

    text: str
    doubtful: bool


def converged(found: Sequence[Convergence], out: Path, command: str) -> tuple[list[str], list[Path]]:
    """Draw the convergence of a search on some models, after 001, Figures 8 and 9.

    Returns:
        A sentence for each model, and the files: convergence.html, and .pdf and .png where matplotlib is installed.

    Raises:
        RunError: a file cannot be written.
    """
    told = [_rest(one) for one in found]
    figures: list[Panel | Relief] = [panel for one in found for panel in _panels(one, many=len(found) > 1)]
    heads = ("model", "runs", *(f"{share} % of the steps" for share in (20, 40, 60, 80, 100)))
    rows = [
        (one.model, str(runs), *(f"{percent(e)} {interval(e)}" for e in _stations(one, runs)))
        for one in found
        for runs in range(1, len(one.loss) + 1)
    ]
    page = Sheet(
        title="Has the search come to rest?",
        about=f"{found[0].attack}, judged on {found[0].data} · threat {found[0].threat}",
        sentences=tuple((one.text, one.doubtful) for one in told),
        figures=tuple((one.title, one.text, drawn(one)) for one in figures if isinstance(one, Panel)),
        caption=f"{_COUNTED[found[0].objective]}, after the first runs and a share of their steps",
        heads=heads,
        rows=tuple(rows),
        command=command,
        settings=tuple((name, str(value)) for name, value in found[0].settings.items()),
    )
    return [one.text for one in told], _written(page, figures, out, "convergence", 2)


def surveyed(found: Sequence[Landscape], out: Path, command: str) -> tuple[list[str], list[Path]]:
    """Draw the loss around the inputs of some models, after 004, Figures 4.2 and 5.4; heights can be compared.

    Returns:
        A sentence for each model, and the files: landscape.html, and .pdf and .png where matplotlib is installed.

    Raises:
        RunError: a file cannot be written.
    """
    told = [_surface(one) for one in found]
    shared = _shared(found)
    figures: list[Panel | Relief] = [_relief(one, found, index) for index in (None, *shared) for one in found]
    rows = tuple(
        (
            one.model,
            str(len(one.index)),
            f"{one.loss[:, one.middle, one.middle].mean():.3g}",
            *(f"{rise:+.3g}" for rise in one.rise),
            f"{np.median(one.bend):.3g}",
            f"{one.bend.max():.3g}",
        )
        for one in found
    )
    page = Sheet(
        title="The loss around the inputs",
        about=f"{_LOSSES[found[0].loss_name]}, on {found[0].data} · directions of {found[0].threat}",
        sentences=tuple((one.text, one.doubtful) for one in told),
        figures=tuple((one.title, one.text, relieved(one)) for one in figures if isinstance(one, Relief)),
        caption="the loss at the inputs, how much it rises to the end of each direction, and how far the surface "
        "leaves its tangent plane",
        heads=(
            "model",
            "examples",
            "at the inputs",
            "along the gradient",
            "at random",
            "bend, median",
            "bend, most",
        ),
        rows=rows,
        command=command,
        settings=tuple((name, str(value)) for name, value in found[0].settings.items()),
    )
    return [one.text for one in told], _written(page, figures, out, "landscape", max(len(found), 2))


def _written(
    page: Sheet, figures: Sequence[Panel | Relief], out: Path, name: str, columns: int
) -> list[Path]:
    html = out / f"{name}.html"
    papers = on_paper(figures, out, name, columns)
    write_atomic(html, sheet(page, [file.name for file in papers]).encode("utf-8", "replace"))
    return [html, *papers]


def _rest(one: Convergence) -> _Told:
    count, runs, steps = one.loss.shape[1], one.loss.shape[0], one.loss.shape[2] - 1
    left = one.accuracy(runs)
    still = max(one.late, one.last) > _AT_REST * count
    late = f"the last fifth of the steps alone reached {one.late} of {count} examples"
    last = f", and only the last run {one.last}" if runs > 1 else ""
    verdict = (
        "It has not come to rest: give it more steps" + (" and more runs." if runs > 1 else ".")
        if still
        else "The search has come to rest."
    )
    text = (
        f"{one.model}: {_COUNTED[one.objective]} is {percent(left)} {interval(left)} after {runs} "
        f"run{'s' if runs > 1 else ''} of {steps} steps; {late}{last}. {verdict}"
    )
    return _Told(text, still)


def _stations(one: Convergence, runs: int) -> list[Estimate]:
    steps = one.loss.shape[2] - 1
    return [one.accuracy(runs, round(share * steps / 100)) for share in (20, 40, 60, 80, 100)]


def _panels(one: Convergence, *, many: bool) -> list[Panel]:
    runs, count, points = one.loss.shape
    steps, of = np.arange(points, dtype=np.float64), f"{one.model}: " if many else ""
    side = "friend" if one.objective == "hypocritical" else "enemy"
    each = [Line(steps, row.astype(np.float64), weight=0.35) for row in one.loss[0]]
    with np.errstate(invalid="ignore"):
        middle = Line(steps, np.nanmedian(one.loss[0].astype(np.float64), axis=0), "median", side)
    shares = [
        Line(
            steps,
            np.array([100 * one.accuracy(run, step).value for step in range(points)]),
            f"after {run} run{'s' if run > 1 else ''}",
            side,
            0.35 + 0.65 * run / runs,
        )
        for run in range(1, runs + 1)
    ]
    return [
        Panel(
            f"{of}loss",
            f"One line an example, {count} of them, over the first run; the heavy line is their median.",
            "step",
            _LOSSES[one.settings["loss"]],
            (*each, middle),
        ),
        Panel(
            f"{of}{_COUNTED[one.objective]}",
            f"One line for the worst case over the first 1, 2, ... {runs} runs, the last one strongest."
            if runs > 1
            else "One run.",
            "step",
            "%",
            tuple(shares),
            low=0.0,
        ),
    ]


def _surface(one: Landscape) -> _Told:
    along, beside = one.rise
    blind = beside >= along
    text = (
        f"{one.model}: from the inputs to {one.sizes[-1]:.3g} the loss rises by {along:.3g} along the gradient and by "
        f"{beside:.3g} in a random direction, on average over {len(one.index)} examples; the surface leaves its "
        f"tangent plane by {np.median(one.bend):.3g} (median)."
    )
    if blind:
        text += " A random direction does as well as the gradient: the gradient does not show the way."
    return _Told(text, blind)


def _shared(found: Sequence[Landscape]) -> list[int]:
    """The first examples that every model has a surface of."""
    common = [index for index in found[0].index.tolist() if all(index in one.index for one in found)]
    return common[:_SINGLES]


def _relief(one: Landscape, found: Sequence[Landscape], index: int | None) -> Relief:
    """The surface of one example, or the mean of all; its upright axis is that of all models."""
    every = [_height(which, index) for which in found]
    low, high = min(float(z.min()) for z in every), max(float(z.max()) for z in every)
    return Relief(
        f"{one.model}: {f'mean of {len(one.index)}' if index is None else f'example {index}'}",
        "Heights can be compared between models." if len(found) > 1 else "",
        "along the gradient",
        "random direction",
        _LOSSES[one.loss_name],
        one.sizes,
        one.sizes,
        _height(one, index),
        low,
        high if high > low else low + 1e-6,
    )


def _height(one: Landscape, index: int | None) -> NDArray[np.float64]:
    rows = one.loss if index is None else one.loss[one.index == index]
    height: NDArray[np.float64] = rows.astype(np.float64).mean(0)
    return height
