"""The table of 000 (Tables 1 and 4), one row a model: for spreadsheets, for LaTeX and for the terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from frenemy.reports.words import ACCURACIES, RISKS, Word, headline, interval, share
from frenemy.risks.estimate import Estimate
from frenemy.risks.result import Audit

__all__ = ["table_csv", "table_tex", "terminal"]

_WORDS = tuple(word for word in (*ACCURACIES, *RISKS) if word.measure != "risk_hypocritical_changed")
_COLOUR = {"clean": "", "enemy": "red", "friend": "blue", "either": ""}
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "*": "{*}",
}


def table_csv(audits: Sequence[Audit]) -> str:
    """Write the table for spreadsheets: for each measure its value, both ends and n.

    Values are in per cent with four decimals; over zero examples the value is `undefined`, and a measure that
    was not asked for is empty. Text that a spreadsheet would run as a formula is led by an apostrophe.
    """
    memory = io.StringIO()
    writer = csv.writer(memory, lineterminator="\n")
    parts = ("", "_low", "_high", "_n")
    writer.writerow(["model", "data", "threat", *(f"{w.symbol}{part}" for w in _WORDS for part in parts)])
    for audit in audits:
        names = [_inert(name) for name in (audit.model, audit.data, audit.threat)]
        writer.writerow([*names, *(cell for word in _WORDS for cell in _cells(audit, word))])
    return memory.getvalue()


def table_tex(audits: Sequence[Audit]) -> str:
    """Write the table for LaTeX (package booktabs): values in per cent, intervals below them."""
    heads = " & ".join(_symbol(word) for word in _WORDS)
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{l{'c' * len(_WORDS)}}}",
        "\\toprule",
        f"Model & {heads} \\\\",
        "\\midrule",
    ]
    for audit in audits:
        found = [headline(audit, word.measure) for word in _WORDS]
        values = ["--" if m is None else _tex_value(m.estimate) for m in found]
        ends = ["" if m is None or not m.estimate.defined else interval(m.estimate) for m in found]
        small = [f"{{\\scriptsize {end}}}" if end else "" for end in ends]
        lines += [f"{_escape(audit.model)} & {' & '.join(values)} \\\\", f" & {' & '.join(small)} \\\\"]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def terminal(audits: Sequence[Audit]) -> Table:
    """Lay the numbers out for a terminal of 80 columns: for each model F, D, A and the risks, intervals and n."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, highlight=False)
    table.add_column("", ratio=1, overflow="fold")
    table.add_column("", no_wrap=True, style="dim")
    table.add_column("%", justify="right", no_wrap=True)
    table.add_column("interval", justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for audit in audits:
        name = Text(f"{audit.model} on {audit.data}, {audit.threat}", style="bold")
        table.add_row(name)
        for word in (*ACCURACIES, *RISKS):
            found = headline(audit, word.measure)
            if found is not None:
                _line(table, word, found.estimate, last=word is RISKS[-1])
        table.add_section()
    return table


def _line(table: Table, word: Word, estimate: Estimate, *, last: bool) -> None:
    head, comma, tail = word.name.partition(",")
    text = f"accuracy {word.name}" if word in ACCURACIES else f"{head} risk{comma}{tail}"
    colour = _COLOUR[word.side]
    value = Text(share(estimate.value) if estimate.defined else "undefined", style=f"bold {colour}".strip())
    table.add_row(Text(text), Text(word.symbol), value, interval(estimate), str(estimate.n), end_section=last)


def _cells(audit: Audit, word: Word) -> list[str]:
    found = headline(audit, word.measure)
    if found is None:
        return ["", "", "", ""]
    estimate = found.estimate
    value = f"{100 * estimate.value:.4f}" if estimate.defined else "undefined"
    return [value, f"{100 * estimate.low:.4f}", f"{100 * estimate.high:.4f}", str(estimate.n)]


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _symbol(word: Word) -> str:
    under = "\\mid ".join(f"\\mathrm{{{part}}}" for part in word.subscript.split("|") if part)
    return f"$\\mathcal{{{word.letter}}}_{{{under}}}$" if under else f"$\\mathcal{{{word.letter}}}$"


def _tex_value(estimate: Estimate) -> str:
    known = estimate.defined and math.isfinite(estimate.value)
    return f"{100 * estimate.value:.1f}" if known else "undefined"


def _escape(text: str) -> str:
    kept = "".join(_SPECIAL.get(letter, letter) for letter in text)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in kept).split())
