"""The figures of the white-box suite as a person reads them, put into docs/white-box.md between their marks."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

from peers import PEERS

from frenemy.errors import UsageError

PAGE: Final = Path("docs/white-box.md")
_POINTS: Final = 0.5


def fill(name: str, text: str, where: Path = PAGE) -> None:
    """Replace what stands between `<!-- NAME -->` and `<!-- end of NAME -->` on a page."""
    page = where.read_text()
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise UsageError(
            f"expected the marks {begin} and {end} once each in {where}; put them where the table goes"
        )
    marked = f"{re.escape(begin)}.*{re.escape(end)}"
    where.write_text(
        re.sub(marked, lambda _: f"{begin}\n{text.strip()}\n{end}", page, count=1, flags=re.DOTALL)
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def of_seeds(found: dict[str, Any], name: str) -> list[Any]:
    """The rows that stand under `NAME, seed 0`, `NAME, seed 1` and so on."""
    return [row for key, row in found.items() if key.rpartition(", seed ")[0] == name]


def over_seeds(found: list[list[float]], unit: float = 0.01) -> str:
    """Mean and deviation of `[value, low, high, ...]`s in per cent, and the outermost ends of their intervals."""
    values = [value / unit for value, *_ in found]
    low, high = min(one[1] for one in found) / unit, max(one[2] for one in found) / unit
    spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{mean(values):.1f}{spread} [{low:.1f}, {high:.1f}]"


def speed(cases: dict[str, Any]) -> str:
    """One table a case, and under it each target beside what was measured."""
    parts = []
    for name, case in cases.items():
        task, near = case["task"], case["near"]
        size = "the least distance" if near else f"eps {_short(case['eps'])}"
        unit = "queries" if task["attack"] == "Square" else "steps"
        (f, b), (ff, fb) = case["microseconds"]["plain"], case["microseconds"]["fast"]
        head = ["", "CPU s", "rows forward", "rows back", "overhead", f"left at {_short(case['eps'])}"]
        rows = [_line(word, row, near) for word, row in case["contenders"].items()]
        parts += [
            f"### {name}: {task['attack']} {task['norm']}, {task['steps']} {unit}, {size}",
            "",
            f"{case['model']}, {case['rows']} rows; a row takes {f:.0f} µs forward and {b:.0f} µs back "
            f"({ff:.0f} and {fb:.0f} with the fast kernels).",
            "",
            table(head + (["found", "median distance"] if near else []), rows),
            "",
            *(f"- {line}" for line in _verdicts(case)),
            "",
        ]
    return "\n".join(parts)


def _line(name: str, row: dict[str, Any], near: bool) -> list[str]:
    if row.get("cut"):
        return [name, f"> {row['seconds']:g}, cut", *[""] * (6 if near else 4)]
    line = [
        name,
        f"{row['seconds']:.2f}",
        f"{row['forwards']:,}",
        f"{row['backwards']:,}",
        f"{row['overhead']:.2f}" if "overhead" in row else "",
        f"{100 * row['left']:.1f} %",
    ]
    return line + ([f"{100 * row['found']:.1f} %", distance(row["median"])] if near else [])


def distance(value: float | None) -> str:
    """Write a distance; none where half of the rows were not found."""
    return "none" if value is None else f"{value:.4g}"


def _verdicts(case: dict[str, Any]) -> list[str]:
    rows, lines = case["contenders"], []
    for contender, against, limit in case["targets"]:
        mine = rows.get(contender, {})
        if "overhead" in mine and against == "model":
            met = mine["overhead"] <= limit
            lines.append(
                f"{contender}: at most {limit:g} times its model, measured {mine['overhead']:.2f}{_met(met)}"
            )
        elif "forwards" in mine and against in rows:
            other = rows[against]
            times = other["seconds"] / mine["seconds"]
            more = "more than " if other.get("cut") else ""
            lines.append(
                f"{contender}: at least {limit:g} times as fast as {against}, measured {more}{times:.1f}"
                f"{_met(times >= limit)}"
            )
    return lines + _outcome(rows, case["near"])


def _outcome(rows: dict[str, Any], near: bool) -> list[str]:
    """Compare what ours leave, and how near they come, with the best of the others."""
    sound = {name: row for name, row in rows.items() if not row.get("cut")}
    others = {name: row for name, row in sound.items() if not name.startswith("frenemy")}
    own = {name: row for name, row in sound.items() if name.startswith("frenemy")}
    if not others or not own:
        return []
    least = min(row["left"] for row in others.values())
    worst = max(own, key=lambda name: own[name]["left"])
    gap = 100 * (own[worst]["left"] - least)
    lines = [
        f"outcome: {worst} leaves {100 * own[worst]['left']:.1f} %, the best peer {100 * least:.1f} %"
        f"{_met(gap <= _POINTS)}"
    ]
    medians = [row["median"] for row in others.values() if row["median"] is not None]
    mine = [row["median"] for row in own.values()]
    if near and medians:
        far = None if None in mine else max(mine)
        met = far is not None and far <= min(medians) * (1 + _POINTS / 100)
        lines.append(
            f"median distance: ours {distance(far)}, the best peer's {distance(min(medians))}{_met(met)}"
        )
    return lines


def _met(met: bool) -> str:
    return "" if met else " **(missed)**"


def _short(eps: float) -> str:
    return f"{255 * eps:g}/255" if abs(255 * eps - round(255 * eps)) < 1e-9 and eps < 0.1 else f"{eps:g}"


def attacks(rows: list[dict[str, Any]]) -> str:
    """Two tables a model: accuracy under attack, and medians of the least distance; other libraries beside."""
    parts = []
    for model in dict.fromkeys(row["model"] for row in rows):
        here = [row for row in rows if row["model"] == model]
        for near, what in ((False, "accuracy"), (True, "median distance (found)")):
            cells = [row for row in here if row["near"] == near]
            if not cells:
                continue
            others = [name for name in PEERS if any(row["library"] == name for row in cells)]
            size = "least distance" if near else f"accuracy at eps {_short(cells[0]['eps'])}"
            parts += [f"### {model}: {size}, {cells[0]['n']} examples", ""]
            head = [
                "attack",
                what,
                "rows forward + back",
                "CPU s",
                *(name.replace("_", "-") for name in others),
            ]
            lines = [
                _attack(word, [row for row in cells if (row["attack"], row["norm"]) == word], others)
                for word in dict.fromkeys((row["attack"], row["norm"]) for row in cells)
            ]
            parts += [table(head, lines), ""]
    return "\n".join(parts)


def _attack(word: tuple[str, str], cells: list[dict[str, Any]], others: list[str]) -> list[str]:
    by = {row["library"]: row for row in cells}
    mine = by.get("frenemy", {})
    cost = f"{mine['forwards']:.0f} + {mine['backwards']:.0f}" if "forwards" in mine else ""
    spent = f"{mine['seconds']:.1f}" if "seconds" in mine else ""
    beside = [_cell(by.get(name, {}), True) for name in others]
    return [f"{word[0]} {word[1]}, {_length(cells[0])}", _cell(mine, False), cost, spent, *beside]


def _length(row: dict[str, Any]) -> str:
    unit = "queries" if row["attack"] == "Square" else "step" if row["steps"] == 1 else "steps"
    return f"{row['rounds']} x {row['steps']} {unit}" if row["rounds"] > 1 else f"{row['steps']} {unit}"


def _cell(row: dict[str, Any], spent: bool) -> str:
    if not row:
        return ""
    if "cut" in row:
        return f"cut at {row['cut']:g} s"
    if "failed" in row:
        return f"fails: {row['failed']}"
    after = f", {row['seconds']:.1f} s" if spent else ""
    if row["near"]:
        return f"{distance(row['median'])} ({row['found']:.0f} %{after})"
    return f"{row['accuracy']:.1f} %{after}"


def gap(rows: list[dict[str, Any]]) -> str:
    """One line a model and eps: accuracy that each search leaves, and how far the first is from the last."""
    words = list(dict.fromkeys(row["attack"] for row in rows))
    lines = []
    for model, eps in dict.fromkeys((row["model"], row["eps"]) for row in rows):
        left = {row["attack"]: row["accuracy"] for row in rows if (row["model"], row["eps"]) == (model, eps)}
        values = [left.get(word) for word in words]
        shown = [value for value in values if value is not None]
        clean = next(row["clean"] for row in rows if row["model"] == model)
        cells = ["" if value is None else f"{value:.1f} %" for value in values]
        lines.append([model, _short(eps), f"{clean:.1f} %", *cells, f"{shown[0] - min(shown):.1f}"])
    return table(["model", "eps", "clean", *words, "gap"], lines)
