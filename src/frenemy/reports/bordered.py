"""Bordered: what `frenemy boundary` found, as images of inputs, boundary points and what lies between, and numbers."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from frenemy.files import write_atomic
from frenemy.reports.panel import Line, Panel, drawn
from frenemy.reports.paper import on_paper
from frenemy.reports.sheet import Sheet, sheet
from frenemy.reports.strip import strip
from frenemy.reports.words import class_name, size
from frenemy.risks.borders import Borders

__all__ = ["bordered"]

_SHOWN: Final = 6
_ROWS: Final = 100
_LOOKS: Final = {"model": "black", "enemy": "red", "friend": "blue"}


def bordered(found: Sequence[Borders], out: Path, command: str) -> tuple[list[str], list[Path]]:
    """Show the nearest boundary points of some models, after 002, Section 9.3.

    Returns:
        A sentence for each model, and the files: boundary.html, boundary.json, the points in boundary.npz, and .pdf
        and .png where matplotlib is installed.

    Raises:
        RunError: a file cannot be written.
    """
    told = [_sentence(one) for one in found]
    strips = [
        (
            one.model,
            f"From the top: inputs, nearest points that were found across the boundary ({one.towards}), and what the "
            "inputs have and these points lack, enlarged around grey.",
            _strip(one),
        )
        for one in found
    ]
    panel = _curve(found)
    rows = [row for one in found for row in _rows(one)]
    page = Sheet(
        title="Where does the answer change?",
        about=f"{found[0].attacks}, on {found[0].data} · distances in {found[0].norm}",
        sentences=tuple(told),
        figures=(*(one for one in strips if one[-1]), (panel.title, panel.text, drawn(panel))),
        caption="the examples by their distance from the boundary, the nearest first"
        + (f"; the first {_ROWS} of each model" if any(len(one.index) > _ROWS for one in found) else ""),
        heads=("model", "example", "answer", "becomes", "distance"),
        rows=tuple(rows),
        command=command,
        settings=tuple((name, str(value)) for name, value in found[0].settings.items()),
    )
    papers = on_paper([panel], out, "boundary")
    html, plain, arrays = (out / f"boundary.{kind}" for kind in ("html", "json", "npz"))
    write_atomic(
        html, sheet(page, [file.name for file in (plain, arrays, *papers)]).encode("utf-8", "replace")
    )
    numbers = [_numbers(one) for one in found]
    write_atomic(plain, json.dumps(numbers, indent=1, allow_nan=False).encode())
    write_atomic(arrays, _arrays(found))
    return [text for text, _ in told], [html, plain, arrays, *papers]


def _sentence(one: Borders) -> tuple[str, bool]:
    count = int(one.found.sum())
    apart = f" {one.apart} examples were left out: their input or answer is not finite." if one.apart else ""
    if not count:
        return (
            f"{one.model}: no point with {one.towards} was found for {len(one.index):,} examples.{apart}",
            True,
        )
    nearest = int(one.distance.argmin())
    text = (
        f"{one.model}: {one.towards} was found for {count:,} of {len(one.index):,} examples, at the median "
        f"{size(float(np.median(one.distance[one.found])))} away ({one.norm}), and nearest to example "
        f"{one.index[nearest]}, {size(float(one.distance[nearest]))} away.{apart} Others may be nearer than what "
        "was found."
    )
    return text, count < len(one.index)


def _strip(one: Borders) -> str:
    columns = []
    for row in np.flatnonzero(one.found)[:_SHOWN]:
        change = one.remover[row].astype(np.float64)
        grey = 0.5 + change / (2 * max(float(np.abs(change).max()), 1e-12))
        before, after = (class_name(one.classes, int(answers[row])) for answers in (one.before, one.after))
        columns.append(
            ([one.x[row], one.point[row], grey], [f"{before} → {after}", size(float(one.distance[row]))])
        )
    return strip(columns, f"{one.model}: inputs, boundary points, and their difference") if columns else ""


def _curve(found: Sequence[Borders]) -> Panel:
    lines, looks = [], list(_LOOKS)
    far = max((float(one.distance[one.found].max()) for one in found if one.found.any()), default=1.0)
    for place, one in enumerate(found):
        ends = np.sort(one.distance[one.found])
        x = np.concatenate([[0.0], np.repeat(ends, 2), [far]])
        kept = 1 - np.arange(len(ends) + 1) / len(one.index)
        y = np.concatenate([np.repeat(kept[:-1], 2), [kept[-1]] * 2])
        lines.append(Line(x, 100 * y, one.model, looks[place % 3], 0.7 ** (place // 3)))
    told = ", ".join(f"{_LOOKS[line.look]} {line.name}" for line in lines)
    return Panel(
        "Examples whose boundary is farther away",
        f"As far as was found: the true curve lies nowhere above. {told[0].upper()}{told[1:]}.",
        f"distance, {found[0].norm}",
        "%",
        tuple(lines),
        low=0.0,
        high=100.0,
    )


def _rows(one: Borders) -> list[tuple[str, ...]]:
    return [
        (
            one.model,
            str(one.index[row]),
            class_name(one.classes, int(one.before[row])),
            class_name(one.classes, int(one.after[row])) if one.found[row] else "–",
            size(float(one.distance[row])) if one.found[row] else "not found",
        )
        for row in np.argsort(one.distance, kind="stable")[:_ROWS]
    ]


def _numbers(one: Borders) -> dict[str, Any]:
    rows = zip(one.index, one.before, one.after, one.distance, strict=True)
    return {
        "model": one.model,
        "data": one.data,
        "norm": one.norm,
        "attacks": one.attacks,
        "towards": one.towards,
        "n": len(one.index),
        "found": int(one.found.sum()),
        "apart": one.apart,
        "examples": [
            {
                "index": int(index),
                "answer": int(before),
                "becomes": int(after) if np.isfinite(far) else None,
                "distance": float(far) if np.isfinite(far) else None,
            }
            for index, before, after, far in rows
        ],
        "settings": one.settings,
    }


def _arrays(found: Sequence[Borders]) -> bytes:
    """Points and removers of each model, under its name."""
    held = {}
    for one in found:
        for name in ("index", "point", "remover", "distance"):
            held[f"{one.model}.{name}"] = getattr(one, name)
    memory = io.BytesIO()
    np.savez(memory, **held)
    return memory.getvalue()
