"""What each search was tried on, what fell to it and what was left: for terminal, spreadsheets and page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from frenemy.reports.words import ACCURACIES, RISKS, WHO, headline, percent, share, size
from frenemy.risks.attempt import Attempt
from frenemy.risks.result import Audit

__all__ = ["searches", "searches_csv", "searches_page"]

_SYMBOLS = {word.measure: word.symbol for word in (*ACCURACIES, *RISKS)}


def searches(audit: Audit) -> Table:
    """Lay the searches of one audit out for a terminal of 80 columns: attack, tried, fell, left, cost, seconds."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, highlight=False)
    table.add_column("attack", ratio=1, overflow="fold")
    for name in ("tried", "fell", "then %", "rows", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    for objective in dict.fromkeys(attempt.objective for attempt in audit.attempts):
        mine = [attempt for attempt in audit.attempts if attempt.objective == objective]
        word = _SYMBOLS.get(mine[0].measure, mine[0].measure)
        table.add_row(Text(f"{audit.model}, {WHO.get(objective, objective)}: {word}", style="bold"))
        for place, attempt in enumerate(mine, 1):
            state = f" ({attempt.state})" if attempt.state else ""
            table.add_row(Text(attempt.attack + state), *_cells(attempt), end_section=place == len(mine))
    return table


def searches_csv(audits: Sequence[Audit]) -> str:
    """Write the searches of every audit for spreadsheets, one row each.

    What is left after a search is in per cent with four decimals. Text that a spreadsheet would run as a formula is led
    by an apostrophe.
    """
    memory = io.StringIO()
    writer = csv.writer(memory, lineterminator="\n")
    head = [
        "model",
        "data",
        "threat",
        "objective",
        "attack",
        "tried",
        "fell",
        "measure",
        "value",
        "low",
        "high",
    ]
    writer.writerow([*head, "n", "forwards", "backwards", "seconds", "state"])
    for audit in audits:
        for one in audit.attempts:
            texts = [audit.model, audit.data, audit.threat, one.objective, one.attack]
            known = one.estimate
            value = f"{100 * known.value:.4f}" if known.defined else "undefined"
            writer.writerow(
                [
                    *(
                        f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
                        for text in texts
                    ),
                    *(one.tried, one.fell, one.measure, value),
                    *(f"{100 * end:.4f}" for end in (known.low, known.high)),
                    *(known.n, one.cost.forwards, one.cost.backwards, f"{one.cost.seconds:.3f}", one.state),
                ]
            )
    return memory.getvalue()


def searches_page(audit: Audit) -> list[dict[str, str]]:
    """Say for the page what was run: the clean answers, then every search."""
    clean, asked = headline(audit, "accuracy_clean"), headline(audit, "accuracy_adversarial")
    asked = asked or headline(audit, "accuracy_hypocritical") or headline(audit, "risk_reversible")
    rows = []
    if clean is not None:
        cost, left = clean.cost, f"D {percent(clean.estimate)}"
        row = {"who": WHO["none"], "threat": "untouched", "attack": "none", "tried": f"{clean.estimate.n:,}"}
        row |= {
            "fell": "",
            "left": left,
            "forwards": f"{cost.forwards:,}",
            "backwards": f"{cost.backwards:,}",
        }
        rows.append(row | {"seconds": f"{cost.seconds:,.1f}"})
    for one in audit.attempts:
        left = f"{_SYMBOLS.get(one.measure, one.measure)} {percent(one.estimate)}"
        rows.append(
            {
                "who": WHO.get(one.objective, one.objective),
                "threat": f"{asked.threat}, {size(asked.eps)}" if asked else audit.threat,
                "attack": one.attack,
                "tried": f"{one.tried:,}",
                "fell": f"{one.fell:,}",
                "left": one.state or left,
                "forwards": f"{one.cost.forwards:,}",
                "backwards": f"{one.cost.backwards:,}",
                "seconds": f"{one.cost.seconds:,.1f}",
            }
        )
    return rows


def _cells(one: Attempt) -> tuple[str, ...]:
    if one.state:
        return ("",) * 5
    left = share(one.estimate.value) if one.estimate.defined else "undefined"
    rows = one.cost.forwards + one.cost.backwards
    return f"{one.tried:,}", f"{one.fell:,}", left, f"{rows:,}", f"{one.cost.seconds:.1f}"
