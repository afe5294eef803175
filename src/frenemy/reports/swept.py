"""Swept: what `frenemy mask` found, as a page with a slider over the masks, a table and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from frenemy.files import write_atomic
from frenemy.reports.curve import bar
from frenemy.reports.dial import over_shares, trade
from frenemy.reports.frame import framed
from frenemy.reports.sheet import Sheet
from frenemy.reports.words import interval, percent
from frenemy.risks.sweep import Sweep

__all__ = ["swept"]

_DOUBTS: Final = {
    "do not trust": "Do not trust the numbers",
    "caution": "The numbers may be too good",
}
"""What is said of masks by the verdict of their audit."""

_GRADES: Final = ("doubt", "caution")


def swept(found: Sweep, settings: Mapping[str, str], out: Path, command: str) -> tuple[list[str], list[Path]]:
    """Show the trade of clean accuracy and accuracy under attack over the masks.

    Args:
        found: what was measured.
        settings: the models at both ends, `at p = 0` and `at p = 1`, and what else people should read.
        out: where the files go.
        command: what made them.

    Returns:
        Sentences for the terminal, and the files: mask.html, results.json and table.csv.

    Raises:
        RunError: a file cannot be written.
    """
    told = list(_sentences(found))
    last = len(found.shares) - 1
    page = Sheet(
        title="What does the mask trade?",
        about=f"{found.settings['data']} · {len(found.index):,} examples · threat {found.settings['threat']}"
        + (f" · {found.apart:,} set apart" if found.apart else ""),
        sentences=tuple(told),
        figures=(
            (
                "Accuracy against the mask",
                "Black: on untouched inputs; red: under attack; shaded: 95 % intervals.",
                over_shares(found),
            ),
            (
                "What is paid for what",
                "Each point is a mask, with its p where there is room; grey: 95 % intervals.",
                trade(found),
            ),
        ),
        caption=f"Attacks: {', '.join(found.settings['attacks'])}, each through the mask that is judged; the worst of "
        "all counts. After each number its 95 % interval. In the last row an example counts where it stands under all "
        "of these masks: the enemy chooses.",
        heads=("p", "untouched", "under attack", "trust"),
        rows=tuple(_rows(found)),
        command=command,
        settings=tuple(_settings(found, settings)),
    )
    stops = [_stop(found, place) for place in range(last + 1)]
    ends = [
        f"p = {p:g}: {settings.get(f'at p = {p:g}', '')}".rstrip(": ")
        for p in (found.shares[0], found.shares[last])
    ]
    files = {
        "results.json": json.dumps(_numbers(found, settings), indent=1, allow_nan=False) + "\n",
        "table.csv": _table(found),
        "mask.html": framed(
            "dial.html",
            page=page,
            beside=("results.json", "table.csv"),
            stops=stops,
            ends=ends,
            at=last // 2,
        ),
    }
    for name, text in files.items():
        write_atomic(out / name, text.encode("utf-8", "replace"))
    return [text for text, _ in told], [out / name for name in reversed(files)]


def _sentences(found: Sweep) -> Iterator[tuple[str, bool]]:
    """The ends, what is between them, what an enemy who chooses leaves, and what makes the numbers doubtful."""
    last = len(found.shares) - 1
    first, second = (
        f"{percent(found.clean(k))} {interval(found.clean(k))} right untouched and {percent(found.robust(k))} "
        f"{interval(found.robust(k))} under attack"
        for k in (0, last)
    )
    if not last:
        yield f"p = {found.shares[0]:g}: {first}.", False
    else:
        yield f"p = {found.shares[0]:g}: {first}. p = {found.shares[last]:g}: {second}.", False
        yield (
            f"An enemy who may choose among these {last + 1} masks too leaves {percent(found.worst)} "
            f"{interval(found.worst)} standing.",
            False,
        )
    for word, told in _DOUBTS.items():
        doubtful = [(p, one) for p, one in zip(found.shares, found.audits, strict=True) if one.trust == word]
        reasons = dict.fromkeys(c.name for _, one in doubtful for c in one.caveats if c.grade in _GRADES)
        if doubtful:
            shares = ", ".join(f"{p:g}" for p, _ in doubtful)
            yield f"{told} at p = {shares}: {', '.join(reasons)}.", True


def _stop(found: Sweep, place: int) -> dict[str, str]:
    clean, robust = found.clean(place), found.robust(place)
    return {
        "p": f"{found.shares[place]:g}",
        "clean": percent(clean),
        "clean_interval": f"{interval(clean)}, {clean.n:,} examples",
        "clean_bar": bar(clean, "clean"),
        "robust": percent(robust),
        "robust_interval": f"{interval(robust)}, {robust.n:,} examples",
        "robust_bar": bar(robust, "enemy"),
        "trust": found.audits[place].trust,
        "told": f"p = {found.shares[place]:g}: {percent(clean)} untouched, {percent(robust)} under attack",
    }


def _rows(found: Sweep) -> Iterator[tuple[str, ...]]:
    for place, p in enumerate(found.shares):
        clean, robust = found.clean(place), found.robust(place)
        numbers = (f"{percent(one)} {interval(one)}" for one in (clean, robust))
        yield f"{p:g}", *numbers, found.audits[place].trust
    yield "worst of these", "", f"{percent(found.worst)} {interval(found.worst)}", ""


def _settings(found: Sweep, settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from settings.items()
    own = found.audits[0].settings
    yield from ((word, str(own[word])) for word in ("data_sha256", "seed", "frenemy") if word in own)
    for p, audit in zip(found.shares, found.audits, strict=True):
        if "model_sha256" in audit.settings:
            yield f"model at p = {p:g}, SHA-256", str(audit.settings["model_sha256"])


def _numbers(found: Sweep, settings: Mapping[str, str]) -> dict[str, Any]:
    masks = [
        {
            "p": p,
            "mask": found.settings["masks"][place],
            "clean": found.clean(place).plain(),
            "robust": found.robust(place).plain(),
            "trust": audit.trust,
            "caveats": [{"name": one.name, "grade": one.grade, "text": one.text} for one in audit.caveats],
            "settings": {name: value for name, value in audit.settings.items() if name != "attacks"},
            "forwards": int(audit.cost.forwards),
            "backwards": int(audit.cost.backwards),
        }
        for place, (p, audit) in enumerate(zip(found.shares, found.audits, strict=True))
    ]
    asked = {name: value for name, value in found.settings.items() if name != "masks"}
    return {
        **asked,
        "models": dict(settings),
        "examples": len(found.index),
        "apart": found.apart,
        "worst": found.worst.plain(),
        "masks": masks,
    }


def _table(found: Sweep) -> str:
    """For spreadsheets: values and ends in per cent with four decimals."""
    memory = io.StringIO()
    writer = csv.writer(memory, lineterminator="\n")
    parts = ("", "_low", "_high")
    writer.writerow(["p", *(f"{name}{part}" for name in ("clean", "robust") for part in parts), "n", "trust"])
    for place, p in enumerate(found.shares):
        numbers = [
            f"{100 * value:.4f}"
            for one in (found.clean(place), found.robust(place))
            for value in (one.value, one.low, one.high)
        ]
        writer.writerow([f"{p:g}", *numbers, len(found.index), found.audits[place].trust])
    worst = (f"{100 * value:.4f}" for value in (found.worst.value, found.worst.low, found.worst.high))
    writer.writerow(["worst", "", "", "", *worst, len(found.index), ""])
    return memory.getvalue()
