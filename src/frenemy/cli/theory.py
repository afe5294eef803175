"""`frenemy theory`: toy problems whose numbers are known exactly, each got in three ways."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from fractions import Fraction
from typing import Any, get_type_hints

from rich.console import Console
from rich.table import Table
from rich.text import Text

from frenemy.catalog import catalog
from frenemy.errors import UsageError, nearest
from frenemy.risks.estimate import Estimate, proportion

__all__ = ["run"]

_HELP = """usage: frenemy theory list
       frenemy theory PROBLEM [--PARAMETER NUMBER ...] [--n EXAMPLES] [--seed SEED] [--json]

Toy problems with exact answers: every number by its formula, by integration, and by attacking examples that are drawn.

examples:
  frenemy theory list
  frenemy theory robustfeatures --d 100 --eta 0.3 --eps 0.6
  frenemy theory circle --b 0.7 --json"""


def run(argv: list[str]) -> int:
    """Print the numbers of one problem, or the problems there are."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_HELP)
        return 0
    problems = catalog("theory")
    name = argv[0].lower().replace("-", "").replace("_", "")
    if name == "list":
        if argv[1:]:
            raise UsageError(f"expected nothing after frenemy theory list, got '{argv[1]}'; leave it out")
        _list(problems)
        return 0
    if name not in problems:
        raise UsageError(f"unknown problem '{argv[0]}'{nearest(name, [*problems, 'list'])}")
    maker = problems[name].load()
    if any(word in ("-h", "--help") for word in argv[1:]):
        Console(highlight=False).print(maker.__doc__ or "", markup=False)
        return 0
    given, drawn, plain = _read(maker, argv[1:])
    problem = maker(**given)
    found = problem.quantities(drawn["n"], drawn["seed"])
    if plain:
        print(json.dumps([_row(one) for one in found], indent=1))
    else:
        _show(problem, found)
    return 0


def _list(problems: dict[str, Any]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("problem", "what it shows", "source"):
        table.add_column(heading, header_style="dim", overflow="fold")
    for name, part in problems.items():
        table.add_row(Text(name, style="bold"), Text(part.summary), Text(part.card.citation, style="dim"))
    Console(highlight=False).print(table)


def _read(maker: Any, words: list[str]) -> tuple[dict[str, Any], dict[str, int], bool]:
    """Read `--name value` and `--name=value`; fractions are understood."""
    hints = get_type_hints(maker)
    kinds = {one.name: hints[one.name] for one in fields(maker)}
    given: dict[str, Any] = {}
    drawn, plain = {"n": 20_000, "seed": 0}, False
    rest = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    while rest:
        flag = rest.pop(0)
        name = flag.removeprefix("--").replace("-", "_")
        if flag == "--json":
            plain = True
            continue
        if not flag.startswith("--") or name not in (*kinds, *drawn):
            known = [f"--{one}" for one in (*kinds, *drawn, "json")]
            raise UsageError(f"unknown option '{flag[:40]}'{nearest(flag, known)}")
        if not rest:
            raise UsageError(f"expected a value after {flag}, got none; write such as {flag} 0.5")
        text = rest.pop(0)
        if kinds.get(name) is str:
            given[name] = text
            continue
        whole = name in drawn or kinds[name] is int
        number = _number(flag, text, whole)
        if name in drawn:
            least = 1 if name == "n" else 0
            if not least <= number <= 10**8:
                raise UsageError(
                    f"expected {flag} from {least} to 100,000,000, got {number:g}; 20,000 is usual"
                )
            drawn[name] = int(number)
        else:
            given[name] = int(number) if whole else number
    return given, drawn, plain


def _number(flag: str, text: str, whole: bool) -> float:
    try:
        number = float(Fraction(text)) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (whole and number != int(number)):
        kind = "a whole number" if whole else "a finite number"
        raise UsageError(
            f"expected {flag} to be {kind}, got '{text[:40]}'; write such as {flag} {100 if whole else 0.3}"
        )
    return number


def _row(one: Any) -> dict[str, Any]:
    drawn = _drawn(one)
    numbers = {
        "closed_form": one.closed_form,
        "quadrature": one.quadrature,
        "simulated": drawn.value,
        "low": drawn.low,
        "high": drawn.high,
        "printed": one.printed,
    }
    plain = {word: None if math.isnan(number) else number for word, number in numbers.items()}
    return {"name": one.name, **plain, "n": one.n, "agrees": one.agrees}


def _drawn(one: Any) -> Estimate:
    return proportion(round(one.simulated * one.n) if one.n else 0, one.n)


def _show(problem: Any, found: Any) -> None:
    console = Console(highlight=False)
    console.print(Text(repr(problem), style="bold"))
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    for heading in ("formula", "integral", "simulated", "interval", "printed"):
        table.add_column(heading, header_style="dim", justify="right", no_wrap=True)
    for one in found:
        drawn = _drawn(one)
        table.add_row(
            Text(one.name),
            f"{one.closed_form:.6f}",
            f"{one.quadrature:.6f}",
            f"{drawn.value:.4f}" if drawn.defined else "",
            f"\\[{drawn.low:.4f}, {drawn.high:.4f}]" if drawn.defined else "",
            "" if math.isnan(one.printed) else f"{one.printed:g}",
        )
    console.print(table)
    off = [one.name for one in found if not one.agrees]
    if off:
        console.print(Text(f"These do not agree: {', '.join(off)}.", style="bold red"))
    for text in type(problem).card.deviations:
        console.print(Text(f"- {text}", style="dim"))
    console.print(Text(type(problem).card.citation, style="dim"))
