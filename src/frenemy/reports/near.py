"""Near: what `frenemy pairs` found, as pictures of the nearest examples, a curve, a table, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frenemy.files import write_atomic
from frenemy.reports.panel import Line, Panel, drawn
from frenemy.reports.paper import on_paper
from frenemy.reports.sheet import Sheet, sheet
from frenemy.reports.strip import strip
from frenemy.reports.words import share, size
from frenemy.risks.views import Pairs

__all__ = ["near"]

_SHOWN: Final = 5
_ROWS: Final = 100


def near(
    found: Sequence[Pairs],
    sizes: Sequence[float | None],
    look: Callable[[int], NDArray[Any]],
    out: Path,
    command: str,
) -> tuple[list[str], list[Path]]:
    """Show the nearest examples of different classes, after 002, Figure 2.

    Args:
        found: the pairs, one a norm, of one data set.
        sizes: the eps that is asked about in each norm, if any.
        look: gives the input at a place in the data; pictures in [0, 1].
        out: where the files go.
        command: what made them.

    Returns:
        A sentence for each norm, and the files: pairs.html and pairs.json, and .pdf and .png where matplotlib is
        installed.

    Raises:
        RunError: a file cannot be written.
    """
    told = [_sentence(one, eps) for one, eps in zip(found, sizes, strict=True)]
    strips = [_strip(one, look) for one in found]
    panels = [_curve(one) for one in found]
    order = found[0].order[:_ROWS]
    few = len(order) < len(found[0].order)
    page = Sheet(
        title="How near do the classes come?",
        about=f"{found[0].data} · {len(found[0].gap):,} examples",
        sentences=tuple(told),
        figures=tuple(
            figure
            for one, panel, strip in zip(found, panels, strips, strict=True)
            for figure in (
                (f"{one.norm}: the nearest", "One pair of classes a column.", strip),
                (panel.title, panel.text, drawn(panel)),
            )
            if figure[-1]
        ),
        caption=f"the smallest distance between two classes{f', the {_ROWS} nearest' if few else ''}, "
        "and the places of the two examples in the data",
        heads=("classes", *(head for one in found for head in (one.norm, "examples"))),
        rows=tuple(_row(found, a, b) for a, b in order),
        command=command,
        settings=(("data", found[0].data), ("examples", f"{len(found[0].gap):,}")),
    )
    numbers = [_numbers(one, eps) for one, eps in zip(found, sizes, strict=True)]
    papers = on_paper(panels, out, "pairs")
    html, plain = out / "pairs.html", out / "pairs.json"
    write_atomic(html, sheet(page, [file.name for file in (plain, *papers)]).encode("utf-8", "replace"))
    write_atomic(plain, json.dumps(numbers, indent=1, allow_nan=False).encode())
    return [text for text, _ in told], [html, plain, *papers]


def _sentence(one: Pairs, eps: float | None) -> tuple[str, bool]:
    a, b = one.order[0]
    first, second = (
        f"{one.classes[c]} (example {place})" for c, place in zip((a, b), one.pair[a, b], strict=True)
    )
    text = f"{one.norm}: the nearest examples of different classes are {first} and {second}, "
    if one.radius == 0:
        text += "the same input: no classifier is right on both."
    else:
        text += (
            f"{one.distance[a, b]:.4g} apart; up to eps = {one.radius:.4g} no balls around examples of different "
            "classes overlap."
        )
    if eps is None:
        return text, one.radius == 0
    hit, close = one.pseudo(eps), one.crossed(eps)
    if not hit:
        return (
            f"{text} With eps = {size(eps)} no example can be changed into an example of another class.",
            False,
        )
    text += (
        f" With eps = {size(eps)}, {hit:,} of {len(one.gap):,} examples ({share(hit / len(one.gap))} %) can be changed "
        f"into an example of another class, in {close} of {len(one.order)} pairs of classes: there robust accuracy "
        "asks for two answers to one input."
    )
    return text, True


def _curve(one: Pairs) -> Panel:
    gaps = np.sort(one.gap)
    x = np.concatenate([[0.0], np.repeat(gaps, 2)])
    y = np.concatenate(
        [[0.0], np.stack([np.arange(len(gaps)), 1 + np.arange(len(gaps))], 1).ravel() / len(gaps)]
    )
    return Panel(
        f"{one.norm}: pseudo-adversarial examples",
        "Share of examples that a perturber can change into an example of another class.",
        f"eps, {one.norm}",
        "%",
        (Line(x, 100 * y, "share of examples", "enemy"),),
        low=0.0,
        high=100.0,
    )


def _strip(one: Pairs, look: Callable[[int], NDArray[Any]]) -> str:
    """The nearest examples, one above the other, one pair of classes a column; nothing if they are no images."""
    columns = [
        (
            [look(int(place)) for place in one.pair[a, b]],
            [f"{one.classes[a]} · {one.classes[b]}", f"{one.distance[a, b]:.4g}"],
        )
        for a, b in one.order[:_SHOWN]
    ]
    return strip(columns, f"the nearest examples of different classes in {one.norm}")


def _row(found: Sequence[Pairs], a: int, b: int) -> tuple[str, ...]:
    cells = ((f"{one.distance[a, b]:.4g}", "{}, {}".format(*one.pair[a, b])) for one in found)
    return f"{found[0].classes[a]} · {found[0].classes[b]}", *(text for cell in cells for text in cell)


def _numbers(one: Pairs, eps: float | None) -> dict[str, Any]:
    asked = (
        {} if eps is None else {"eps": eps, "pseudo": one.pseudo(eps), "classes_crossed": one.crossed(eps)}
    )
    rows = [
        {
            "classes": [one.classes[a], one.classes[b]],
            "distance": float(one.distance[a, b]),
            "examples": one.pair[a, b].tolist(),
        }
        for a, b in one.order
    ]
    least = float(one.gap.min())
    shares = {f"{part:g}": float(np.quantile(one.gap, part)) for part in (0.01, 0.1, 0.5, 0.9)}
    return {
        "data": one.data,
        "n": len(one.gap),
        "norm": one.norm,
        "least": least,
        "radius": one.radius,
        "gap_quantiles": shares,
        **asked,
        "pairs": rows,
    }
