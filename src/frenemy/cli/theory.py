"""`frenemy theory`: toy problems whose numbers are known exactly, each got in three ways."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, final, get_type_hints

from rich.console import Console
from rich.table import Table
from rich.text import Text

from frenemy.catalog import catalog
from frenemy.cli.progress import Bar
from frenemy.cli.subject import folder
from frenemy.errors import UsageError, nearest
from frenemy.risks.estimate import Estimate, proportion

__all__ = ["run"]

_HELP = """usage: frenemy theory list
       frenemy theory PROBLEM [--PARAMETER NUMBER ...] [--n EXAMPLES] [--seed SEED] [--json] [--out DIRECTORY]
       frenemy theory page [--n EXAMPLES] [--seed SEED] [--out DIRECTORY]

Toy problems with exact answers: every number by its formula, by integration, and by attacking examples that are drawn.
A problem is also drawn, with a parameter to move, in theory.html of the directory (with --json only if that is named);
`page` puts all of them on one page, with what comes out of training on them.

examples:
  frenemy theory list
  frenemy theory tsipras --d 100 --eta 0.3 --eps 0.6
  frenemy theory circle --b 0.7 --json
  frenemy theory page --out lesson"""
_PAGE: Final = "page"


def run(argv: list[str]) -> int:
    """Print the numbers of one problem, or the problems there are, or write the page of all."""
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
    if name not in (*problems, _PAGE):
        raise UsageError(f"unknown problem '{argv[0]}'{nearest(name, [*problems, 'list', _PAGE])}")
    if any(word in ("-h", "--help") for word in argv[1:]):
        print(_HELP) if name == _PAGE else _explain(problems[name].load())
        return 0
    command = shlex.join(["frenemy", "theory", *argv])
    if name == _PAGE:
        _, asked = _read({}, argv[1:], drawn=2_000)
        if asked.plain:
            raise UsageError(
                "unknown option '--json'; the numbers of one problem are printed with frenemy theory PROBLEM --json"
            )
        _write([part.load()() for part in problems.values()], asked, command, training=True)
        return 0
    maker = problems[name].load()
    hints = get_type_hints(maker)
    given, asked = _read({one.name: hints[one.name] for one in fields(maker)}, argv[1:], drawn=20_000)
    problem = maker(**given)
    found = problem.quantities(asked.n, asked.seed)
    if asked.plain:
        print(json.dumps([_row(one) for one in found], indent=1))
    else:
        _show(problem, found)
    if asked.out or not asked.plain:
        _write([problem], asked, command, training=False)
    return 0


@final
@dataclass(slots=True)
class _Asked:
    """What is not a parameter of a problem."""

    n: int
    seed: int = 0
    plain: bool = False
    out: str = ""


def _explain(maker: Any) -> None:
    Console(highlight=False).print(maker.__doc__ or "", markup=False)


def _write(problems: list[Any], asked: _Asked, command: str, *, training: bool) -> None:
    """Write the page, and say where it lies unless the output is to be read by a program."""
    from frenemy.reports.lesson import Figure, lesson

    name = _PAGE if training else type(problems[0]).__name__.lower()
    out = Path(asked.out) if asked.out else folder(["theory", name])
    bar, figures = Bar(quiet=asked.plain), list[Figure]()
    with bar.task("theory") as told:
        if training:
            from frenemy.papers import alternation, directions, margins, weights

            for made in (weights, alternation, margins, directions):
                told("training", len(figures) / 20)
                figures += made.figures(asked.seed)

        def onwards(what: str, share: float) -> None:
            told(what, 0.4 * training + share * (1 - 0.4 * training))

        file = lesson(problems, out, command, min(asked.n, 2_000), asked.seed, figures, onwards)
    if not asked.plain:
        print(f"page  {file}")


def _list(problems: dict[str, Any]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("problem", "what it shows", "source"):
        table.add_column(heading, header_style="dim", overflow="fold")
    for name, part in problems.items():
        table.add_row(Text(name, style="bold"), Text(part.summary), Text(part.card.citation, style="dim"))
    Console(highlight=False).print(table)


def _read(kinds: dict[str, Any], words: list[str], drawn: int) -> tuple[dict[str, Any], _Asked]:
    """Read `--name value` and `--name=value`; fractions are understood."""
    given: dict[str, Any] = {}
    asked = _Asked(drawn)
    rest = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    while rest:
        flag = rest.pop(0)
        name = flag.removeprefix("--").replace("-", "_")
        if flag == "--json":
            asked.plain = True
            continue
        if not flag.startswith("--") or name not in (*kinds, "n", "seed", "out"):
            known = [f"--{one}" for one in (*kinds, "n", "seed", "json", "out")]
            raise UsageError(f"unknown option '{flag[:40]}'{nearest(flag, known)}")
        if not rest:
            raise UsageError(f"expected a value after {flag}, got none; write such as {flag} 0.5")
        text = rest.pop(0)
        if name == "out":
            asked.out = text
        elif name in ("n", "seed"):
            setattr(asked, name, _whole(flag, text, 1 if name == "n" else 0))
        elif kinds[name] is str:
            given[name] = text
        else:
            number = _number(flag, text, kinds[name] is int)
            given[name] = int(number) if kinds[name] is int else number
    return given, asked


def _whole(flag: str, text: str, least: int) -> int:
    number = _number(flag, text, whole=True)
    if not least <= number <= 10**8:
        raise UsageError(f"expected {flag} from {least} to 100,000,000, got {number:g}; 20,000 is usual")
    return int(number)


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
