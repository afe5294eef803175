"""`frenemy list [FOLDER]`: the parts there are, read from their cards without loading them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from frenemy.catalog import Part, catalog
from frenemy.errors import UsageError, nearest

__all__ = ["FOLDERS", "run"]

FOLDERS: Final = {
    "attacks": "attacks",
    "threats": "threats",
    "objectives": "objectives",
    "models": "models",
    "data": "data",
    "recipes": "training",
    "theory": "theory",
}
"""Words for kinds of parts, and the folders that hold them."""

_VICINITY: Final = ("inputs", "labels", "g of answers", "h of labels", "for an attack")


def run(argv: list[str]) -> int:
    """Print the parts of one folder, or of all."""
    if argv in (["-h"], ["--help"]):
        print(f"usage: frenemy list [{' | '.join(FOLDERS)}]\n\nShow the parts there are, with their sources.")
        return 0
    for word in argv:
        if word not in FOLDERS:
            raise UsageError(f"unknown kind of part '{word}'{nearest(word, FOLDERS)}")
    console = Console(highlight=False)
    for word in argv or FOLDERS:
        parts = catalog(FOLDERS[word])
        table = _table(word, ("name", "what it is", "source"))
        for part in parts.values():
            table.add_row(
                Text(part.name, style="bold"), Text(part.summary), Text(part.card.citation, style="dim")
            )
        console.print(table)
        console.print()
        if any(part.card.vicinity for part in parts.values()):
            console.print(_vicinities(parts))
            console.print()
    return 0


def _vicinities(parts: Mapping[str, Part]) -> Table:
    """What each method trains on, as the table of vicinal risks has it (004, Table 5.1)."""
    table = _table("vicinal risk, -sum_k log g(f(x)_k) h(y_k): what each trains on", ("name", *_VICINITY))
    for part in parts.values():
        table.add_row(Text(part.name, style="bold"), *map(Text, part.card.vicinity))
    return table


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, header_style="dim", overflow="fold")
    return table
