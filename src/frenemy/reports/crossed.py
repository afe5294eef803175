"""Crossed: what `frenemy transfer` found, as a matrix of sources and targets, with the numbers behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from frenemy.files import write_atomic
from frenemy.reports.sheet import Sheet, sheet
from frenemy.reports.svg import Node, element, write
from frenemy.reports.words import interval, percent, share
from frenemy.risks.estimate import Estimate
from frenemy.risks.views import Transfer

__all__ = ["crossed"]

_CELL, _HIGH, _LEFT, _TOP, _LETTER = 84.0, 40.0, 128.0, 30.0, 6.2
_LONGEST: Final = 19
_STRONG: Final = 0.5
"""How strong the colour of a cell of 100 % is, so that text on it can be read."""
_WHO: Final = {
    "untargeted": ("An enemy", "enemy", "right"),
    "hypocritical": ("A false friend", "friend", "wrong"),
}
_DONE: Final = {"untargeted": "break", "hypocritical": "mend"}


def crossed(found: Sequence[Transfer], out: Path, command: str) -> tuple[list[str], list[Path]]:
    """Show what transfers, after 000, Figures 7 and 8, and 001, Table 4.

    Args:
        found: one for each objective, of the same models.
        out: where the files go.
        command: what made them.

    Returns:
        A sentence for each objective and each finding, and the files: transfer.html and transfer.json.

    Raises:
        RunError: a file cannot be written.
    """
    told = [sentence for one in found for sentence in _sentences(one)]
    told += [(note, False) for note in found[0].notes]
    page = Sheet(
        title="What does an attack on one model do to another?",
        about=f"{found[0].data} · {len(found[0].index):,} examples · threat {found[0].threat}"
        + (f" · {found[0].apart:,} set apart" if found[0].apart else ""),
        sentences=tuple(told),
        figures=tuple(_figure(one) for one in found),
        caption="turned: among the examples that the target gets right (for a false friend: wrong) untouched; "
        "of those that fell: among those of these that the points turn on the source too; accuracy: of the target on "
        "the points of the source, among all. After each its 95 % interval, and the examples behind it.",
        heads=("source → target", "whose work", "turned", "of those that fell", "accuracy"),
        rows=tuple(_row(one, s, t) for one in found for s, t in _cells(one)),
        command=command,
        settings=tuple(_settings(found)),
    )
    html, plain = out / "transfer.html", out / "transfer.json"
    write_atomic(html, sheet(page, [plain.name]).encode("utf-8", "replace"))
    write_atomic(plain, json.dumps([_numbers(one) for one in found], indent=1, allow_nan=False).encode())
    return [text for text, _ in told], [html, plain]


def _cells(one: Transfer) -> Iterator[tuple[int, int]]:
    return ((s, t) for s in range(len(one.sources)) for t in range(len(one.models)))


def _sentences(one: Transfer) -> list[tuple[str, bool]]:
    """What transfers best; and targets that foreign points hurt more than their own, which tells of a poor search."""
    who, _, state = _WHO[one.objective]
    done = _DONE[one.objective]
    across = [
        (s, t) for s, t in _cells(one) if one.sources[s] in one.models and one.sources[s] != one.models[t]
    ]
    known = [(s, t) for s, t in across if one.rate(s, t).defined]
    if not known:
        return [(f"{who}: no target gets an example {state}, so nothing can be told.", False)]
    s, t = max(known, key=lambda cell: one.rate(*cell).low)
    rate, chance = one.rate(s, t), one.rate(len(one.sources) - 1, t)
    text = (
        f"{who}: what transfers best are the points found on {one.sources[s]}: they {done} {percent(rate)} "
        f"{interval(rate)} of the {rate.n:,} examples that {one.models[t]} gets {state}; random points of the same "
        f"threat {done} {percent(chance)}."
    )
    told = [(text, False)]
    for t, target in enumerate(one.models):
        home = one.sources.index(target) if target in one.sources else None
        if home is None:
            continue
        own = one.rate(home, t)
        above = [s for s, other in enumerate(one.sources) if one.rate(s, t).low > own.high and s != home]
        if above and own.defined:
            s = max(above, key=lambda s: one.rate(s, t).value)
            more = one.rate(s, t)
            told.append(
                (
                    f"{target}: points of {one.sources[s]} {done} {percent(more)} {interval(more)}, its own only "
                    f"{percent(own)} {interval(own)}: the search on {target} is too weak, or its gradients mislead.",
                    True,
                )
            )
    return told


def _figure(one: Transfer) -> tuple[str, str, str]:
    who, look, state = _WHO[one.objective]
    text = (
        f"Row: whose points. Column: who is judged. Per cent of the examples that the target gets {state} untouched, "
        f"which the points {_DONE[one.objective]}; below it how many examples those are. Framed: its own points."
    )
    slanted = len(one.models) > 4 or any(len(name) * _LETTER > _CELL for name in one.models)
    top = _TOP + (_LONGEST * _LETTER * 0.6 if slanted else 0)
    cell = min(_CELL, max(46.0, 420.0 / len(one.models)))
    nodes: list[Node] = []
    for t, name in enumerate(one.models):
        x, y = _LEFT + (t + 0.5) * cell, top - 10
        turn = (
            {"transform": f"rotate(-38 {x:g} {y:g})", "text_anchor": "start"}
            if slanted
            else {"text_anchor": "middle"}
        )
        nodes.append(element("text", element("title", name), _short(name), class_="tick", x=x, y=y, **turn))
    for s, name in enumerate(one.sources):
        y = top + (s + 0.5) * _HIGH + 4
        nodes.append(element("text", element("title", name), _short(name), class_="tick", x=0, y=y))
    for s, t in _cells(one):
        rate, x, y = one.rate(s, t), _LEFT + t * cell, top + s * _HIGH
        frame = "currentColor" if one.sources[s] == one.models[t] else "none"
        told = f"{one.sources[s]} on {one.models[t]}: {percent(rate)} {interval(rate)}, n = {rate.n}"
        box = {"x": x + 1.5, "y": y + 1.5, "width": cell - 3, "height": _HIGH - 3, "rx": 3}
        middle: dict[str, Any] = {"x": x + cell / 2, "text_anchor": "middle"}
        nodes += [
            element("rect", class_="track", opacity=0.35, **box),
            element(
                "rect", class_=f"mark {look}", opacity=_STRONG * rate.value if rate.defined else 0.0, **box
            ),
            element("rect", element("title", told), fill="transparent", stroke=frame, **box),
            element(
                "text", _share(rate), y=y + _HIGH / 2, fill="currentColor", pointer_events="none", **middle
            ),
            element("text", f"{rate.n:,}", y=y + _HIGH - 8, class_="tick", pointer_events="none", **middle),
        ]
    width = _LEFT + len(one.models) * cell + (_LONGEST * _LETTER * 0.8 if slanted else 4)
    height = top + len(one.sources) * _HIGH + 2
    box_ = f"0 0 {width:.0f} {height:.0f}"
    return (
        who,
        text,
        write(element("svg", *nodes, viewBox=box_, class_="chart", role="img", aria_label=text)),
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _share(rate: Estimate) -> str:
    return share(rate.value) if rate.defined else "–"


def _row(one: Transfer, s: int, t: int) -> tuple[str, ...]:
    numbers = (one.rate(s, t), one.carried(s, t), one.accuracy(s, t))
    texts = (f"{percent(e)} {interval(e)}, {e.n:,}" if e.defined else "–" for e in numbers)
    return f"{one.sources[s]} → {one.models[t]}", _WHO[one.objective][0].lower(), *texts


def _settings(found: Sequence[Transfer]) -> Iterator[tuple[str, str]]:
    one = found[0]
    yield "data", one.data
    yield "threat", one.threat
    yield from ((f"attack on {s}", attack) for s, attack in zip(one.sources, one.attacks, strict=True))
    for name, settings in one.settings["models"].items():
        yield f"{name}, SHA-256", str(settings["model_sha256"])
    last = next(iter(one.settings["models"].values()))
    yield from ((word, str(last[word])) for word in ("data_sha256", "access", "seed", "frenemy"))


def _numbers(one: Transfer) -> dict[str, Any]:
    cells = [
        {
            "source": one.sources[s],
            "target": one.models[t],
            "turned": one.rate(s, t).plain(),
            "turned_of_fallen": one.carried(s, t).plain(),
            "accuracy": one.accuracy(s, t).plain(),
        }
        for s, t in _cells(one)
    ]
    return {
        "objective": one.objective,
        "data": one.data,
        "threat": one.threat,
        "examples": len(one.index),
        "apart": one.apart,
        "models": list(one.models),
        "sources": dict(zip(one.sources, one.attacks, strict=True)),
        "clean_right": {name: int(right.sum()) for name, right in zip(one.models, one.clean, strict=True)},
        "cells": cells,
        "notes": list(one.notes),
        "settings": one.settings,
    }
